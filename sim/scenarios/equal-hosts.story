# Three hosts of equal preference share the work.
server mx1
server mx2
server mx3
sender sender1
domain d1.test mx-equal mx1 mx2 mx3
mx1 delay 100ms
mx2 delay 100ms
mx3 delay 100ms
mark
send 3000 to d1.test over 1m
wait 1m
expect delivered within 2m
expect stored at mx1 at least 300
expect stored at mx2 at least 300
expect stored at mx3 at least 300
expect ends 0
