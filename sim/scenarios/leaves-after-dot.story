# Senders that leave right after the dot. What was committed is delivered, though nobody heard of it; they send again.
server mx1
sender sender1
domain d1.test to mx1
senders leave 0.5
send 100 to d1.test over 60s
wait 3m
calm
expect drained within 5m
expect duplicates at most 0
