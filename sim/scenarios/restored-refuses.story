# A server with known users is down for two hours, comes back and says "user unknown" to everybody for 20 minutes. Nothing
# bounces, a few probes a minute, and all is delivered soon after the repair.
server mx1
sender sender1
domain d1.test to mx1
send 100 to d1.test over 2m
wait 2m
expect delivered within 1m
mx1 refused
send 1000 to d1.test over 2h
wait 2h
expect held at least 900
mx1 up
mx1 refuses-all
wait 1m
mark
send 50 to d1.test over 18m
wait 19m
expect held at least 900
expect transactions at mx1 at most 2
expect ends 0
expect connects at mx1 at most 120
mark
mx1 healthy
expect first-held within 20s
expect delivered within 2m
expect ends 0
expect duplicates at most 0
