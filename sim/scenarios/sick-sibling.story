# One of three equal hosts takes connections and then says nothing. Mail goes by the others, and does not wait for it.
server mx1
server mx2
server mx3
sender sender1
domain d1.test mx-equal mx1 mx2 mx3
send 30 to d1.test over 30s
wait 40s
mx2 mail hangs 1
mark
send 600 to d1.test over 10m
wait 10m
expect delivered within 10m
expect worst-delay at most 30s
expect stored at mx1 at least 100
expect stored at mx3 at least 100
expect ends 0
mx2 healthy
expect delivered within 15m
