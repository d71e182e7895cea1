# The wall clock jumps a day forwards while mail is held: nothing expires, probes go on.
server mx1
sender sender1
domain d1.test to mx1
mx1 refused
send 50 to d1.test over 30s
wait 1m
clock +1d
mark
wait 5m
expect held 50
expect ends 0
mark
mx1 up
expect first-held within 10s
expect delivered within 60s
