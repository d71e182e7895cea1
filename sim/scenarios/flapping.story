# Up for 30 s, down for 90 s, again and again: progress in each up-window.
server mx1
sender sender1
domain d1.test to mx1
mx1 refused
send 100 to d1.test over 60s
wait 90s
expect held 100
mark
mx1 up
expect first-held within 10s
wait 30s
mx1 refused
send 100 to d1.test over 60s
wait 90s
mark
mx1 up
wait 30s
mx1 refused
send 100 to d1.test over 60s
wait 90s
mark
mx1 up
expect delivered within 60s
expect duplicates at most 0
expect ends 0
