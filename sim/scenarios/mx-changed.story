# While the old server is dead, the domain moves to another one. The held mail goes there.
server mx1
server mx2
sender sender1
domain d1.test mx mx1
mx1 black-hole
send 50 to d1.test over 30s
wait 5m
expect held 50
dns d1.test mx mx2
mark
expect delivered within 20m
