# The first host says 421 to everybody: it is left for the second at once, and comes back into use when it can.
server mx1
server mx2
sender sender1
domain d1.test mx mx1 mx2
mx1 banner busy 1
mark
send 300 to d1.test over 5m
wait 5m
expect delivered within 5s
expect worst-delay at most 10s
expect connects at mx1 at most 60
mx1 healthy
mark
send 200 to d1.test over 10m
wait 10m
expect delivered within 5s
expect stored at mx1 at least 50
expect ends 0
