# One tenant of a hosting server is cancelled: its recipients are refused. Its neighbours' mail goes on without delay.
server mx1
server mx2
sender sender1
domain d1.test to mx1
domain d2.test to mx1
domain d3.test to mx2
mx2 refuses-all
send 100 to d3.test over 2m
send 100 to d1.test over 2m
send 100 to d2.test over 2m
mark
wait 3m
expect delivered to d1.test within 1s
expect delivered to d2.test within 1s
expect held at least 50
mx2 healthy
expect delivered within 10m
expect ends 0
