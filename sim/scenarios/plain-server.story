# A server of the old kind: HELO only, no extensions at all.
server mx1
sender sender1
domain d1.test to mx1
mx1 without esmtp
send 50 to d1.test d1.test over 30s
wait 1m
expect delivered within 10s
expect duplicates at most 0
