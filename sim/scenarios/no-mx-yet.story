# Added before anything is in the DNS: it waits, holding.
server mx1
sender sender1
domain d1.test unknown
send 20 to d1.test over 10s
wait 10m
expect held 20
dns d1.test mx mx1
mark
expect delivered within 20m
