# At most three connections, 421 beyond. The limit is learnt; the backlog drains all the same.
server mx1
sender sender1
domain d1.test to mx1
mx1 limit 3
mx1 delay 50ms
mx1 refused
send 300 to d1.test over 60s
wait 70s
mx1 up
mark
expect delivered within 5m
expect transactions at mx1 at most 3
expect ends 0
