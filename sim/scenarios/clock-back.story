# A day backwards, with recipients that wait for their own back-off: they are not forgotten for a day.
server mx1
sender sender1
domain d1.test to mx1
mx1 rcpt temporary 1
send 50 to d1.test over 30s
wait 2m
expect held 50
clock -1d
mark
mx1 healthy
expect delivered within 2h
expect ends 0
