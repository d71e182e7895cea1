# The server's machine loses power while mail flows, and boots two minutes later.
server mx1
sender sender1
domain d1.test to mx1
send 200 to d1.test over 100s
wait 50s
mx1 power-cut
wait 2m
mark
mx1 up
expect first-held within 20s
expect delivered within 20m
