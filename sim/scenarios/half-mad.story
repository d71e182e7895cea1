# A large provider has lost half of its directory: 60 % of all recipients are refused at random for six hours, mixed with 421.
# Valid users are kept, whether the domain is held or only doubted, and all arrive after the repair.
server mx1
sender sender1
domain d1.test to mx1
send 100 to d1.test over 2m
wait 2m
expect delivered within 1m
mx1 rcpt permanent 0.6
mx1 mail busy 0.05
send 600 to d1.test over 6h
wait 6h
expect ends 0
mx1 healthy
mark
expect delivered within 70m
expect ends 0
