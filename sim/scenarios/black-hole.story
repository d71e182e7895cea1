# The path to the server swallows everything for ten minutes, in the middle of transactions. A connect that times out takes five
# seconds, so the server's return is noticed soon.
server mx1
sender sender1
domain d1.test to mx1
send 300 to d1.test over 10m
wait 1m
mx1 black-hole
wait 9m
mark
mx1 up
expect first-held within 20s
expect delivered within 2m
expect ends 0
