# Power cuts at the relay under load, with a server that is away half of the time.
server mx1
sender sender1
domain d1.test to mx1
send 300 to d1.test over 5m
wait 20s
relay power-cut
wait 5s
relay start
mx1 refused
wait 60s
relay power-cut
wait 20s
relay start
wait 60s
relay power-cut
relay start
mx1 up
wait 30s
relay power-cut
relay start
expect drained within 1h
