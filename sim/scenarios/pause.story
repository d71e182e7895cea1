# A domain is paused by hand. Its neighbour on the same server does not notice; after resume its mail flows.
server mx1
sender sender1
domain d1.test to mx1
domain d2.test to mx1
send 100 to d1.test over 60s
send 100 to d2.test over 60s
wait 10s
pause d1.test
mark
wait 60s
expect delivered to d2.test within 2s
expect held at least 50
wait 1h
expect held at least 50
resume d1.test
expect delivered within 30s
expect duplicates at most 0
