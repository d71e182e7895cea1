# One mailbox has two thousand mails waiting, the other users of its domain a hundred that came after most of them. They do not wait
# for the two thousand; nor do those that come meanwhile.
server mx1
sender sender1
domain d1.test to mx1
mx1 refused
send 2000 to d1.test over 4m user 0
send 100 to d1.test over 4m
wait 5m
mx1 delay 200ms
mx1 up
expect delivered to d1.test but u0@d1.test within 60s
expect held at least 1000
mark
send 20 to d1.test over 3s
wait 3s
expect delivered to d1.test but u0@d1.test within 10s
expect drained within 30m
expect ends 0
expect duplicates at most 0
