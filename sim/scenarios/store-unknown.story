# Three of ten answers of the store are "unknown". Nothing is lost; what was not promised does not appear twice.
server mx1
sender sender1
domain d1.test to mx1
store unknown 0.3
send 100 to d1.test over 2m
wait 5m
store fine
expect drained within 1h
expect ends 0
