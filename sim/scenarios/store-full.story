# The store is full in an outage: senders are told to come again, held mail is delivered when the server is back, and then the
# rest comes.
server mx1
sender sender1
domain d1.test to mx1
mx1 refused
send 50 to d1.test over 30s
wait 1m
store full 1
send 50 to d1.test over 30s size 50000
wait 2m
expect deferred
mx1 up
wait 1m
store fine
expect drained within 30m
expect ends 0
