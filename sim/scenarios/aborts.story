# Senders that leave in the middle of the message. Nothing of it may appear.
server mx1
sender sender1
domain d1.test to mx1
senders abort 0.5
send 100 to d1.test over 60s size 20000
wait 3m
calm
expect drained within 5m
expect duplicates at most 0
