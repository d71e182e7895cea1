# The first host of the domain's MX set is dead; mail goes by the second without a word.
server mx1
server mx2
sender sender1
domain d1.test mx mx1 mx2
mx1 refused
mark
send 100 to d1.test over 2m
wait 2m
expect delivered within 10s
expect worst-delay at most 30s
mx2 black-hole
mx1 up
send 100 to d1.test over 2m
wait 2m
expect delivered within 2m
