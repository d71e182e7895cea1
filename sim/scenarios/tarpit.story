# Two seconds for each reply: slow, not down.
server mx1
sender sender1
domain d1.test to mx1
mx1 delay 2s
send 200 to d1.test over 60s
mark
expect drained within 30m
expect duplicates at most 0
