# Two domains share a server that was away. One has four thousand mails waiting, the other three: the three do not wait for the thousands,
# nor do three that come meanwhile.
server mx1
sender sender1
domain d1.test to mx1
domain d2.test to mx1
mx1 refused
send 4000 to d1.test over 5m
wait 5m
send 3 to d2.test over 3s
wait 10s
mx1 delay 200ms
mx1 up
expect delivered to d2.test within 20s
expect held at least 3000
mark
send 3 to d2.test over 3s
wait 3s
expect delivered to d2.test within 5s
expect drained within 30m
expect ends 0
