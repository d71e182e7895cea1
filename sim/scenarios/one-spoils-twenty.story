# A server that takes every recipient and then refuses the whole message at its dot, because some of them are unknown to it. The
# others get theirs.
server mx1
sender sender1
domain d1.test to mx1
mx1 refuses-one-in 4
mx1 refuses-whole
send 20 to d1.test d1.test d1.test d1.test d1.test d1.test over 20s
# within the hour of grace: later an address that is refused again and again ends
wait 3000s
expect held at least 1
# a quarter of 120, and some luck
expect held at most 60
expect ends 0
mx1 healthy
expect delivered within 6h
