# Three days without the server. Probes stay few; it is noticed within half a minute that it is back.
server mx1
sender sender1
domain d1.test to mx1
mx1 refused
send 100 to d1.test over 10m
mark
wait 3d
expect held 100
expect connects at mx1 at most 26000
mark
mx1 up
expect first-held within 20s
expect delivered within 60s
expect ends 0
