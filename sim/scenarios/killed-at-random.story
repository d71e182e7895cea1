# The relay is killed right after it promised, and right after the server stored, again and again. No promise is broken.
server mx1
sender sender1
domain d1.test to mx1
relay dies-at ack 0.1
send 200 to d1.test over 10m
wait 5m
relay dies-at ack 0
relay dies-at stored 0.1
wait 6m
calm
expect drained within 1h
