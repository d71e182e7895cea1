#include "lane/verdict_rules.h"

#include "base/check.h"

/* --- what rows are made of --- */

#define AT(stage) (1u << VERDICT_AT_##stage)
#define ON(what)  (1u << VERDICT_CONN_##what)

enum {
	SESSION = AT(CONNECT) | AT(BANNER) | AT(EHLO) | AT(TLS), /* EHLO is not finished */
	CONTENT = AT(DATA) | AT(BODY) | AT(DOT), /* the envelope was taken: it is about the message */
	MAIL = AT(MAIL),
	RCPT = AT(RCPT),
	TRANSACTION = MAIL | RCPT | CONTENT,
	ANY = SESSION | TRANSACTION | AT(FEATURE),
	LOST = ON(REFUSED) | ON(UNREACHABLE) | ON(TIMEOUT) | ON(RESET) | ON(TLS) | ON(GARBAGE) | ON(LOCAL),
	REPLY = 1u << VERDICT_REPLY,
};

/* clang-format off */
#define GREYLIST \
	"greylist*|graylist*|grey-list*|gray-list*|grey list*|gray list*|postgrey|greylisting|early retry|retry too soon|internal resources are temporarily unavailable"
#define TOO_FAST \
	"rate|rates|rate-limit*|ratelimit*|too many messages|too many mails|too many emails|too much mail|too fast|throttl*|" \
	"limit exceeded|exceeded .. limit|limit .. exceeded|exceeds .. limit|sending limit*|too frequent*|slow down|too many|limits"
#define BUSY "busy|overload*|congest*"
#define SURELY_FAST \
	"rate limit*|ratelimit*|rate-limit*|throttl*|received this hour|received from the sender|too fast|to fast"
#define TROUBLE \
	"temporary server error|temporary local problem|temporary internal|temporary system problem|error processing|" \
	"internal error|local error"
#define MANY_RECIPIENTS \
	"too many recipients|too many rcpt*|many recipients|recipient limit*|recipients limit*|one recipient at a time|" \
	"one at a time|maximum number of recipients|recipients per message|recipients per session|max recipients|multiple destination domains"
#define MANY_CONNECTIONS \
	"too many .. connection*|connection rate|too many .. sessions|concurrent*|simultaneous*|connection limit*|connections exceed*|" \
	"maximum number of connections|too many smtp"
#define USED_UP \
	"too many messages|too many transactions|messages in this connection|messages per connection|messages for this session|" \
	"messages this session|message limit .. session|idle|timeout|timed out|connection expired|too many errors|too many commands"

/* Distrust of us. Phrases that name the client, its address or its name; not single words that a sender can have in
 * its own name. */
#define US_SPF \
	"spf|sender policy framework|openspf*|not designated .. permitted sender|not a permitted sender|" \
	"does not designate|not authorized to send .. on behalf|not allowed to send mail for|not permitted to send mail from"
#define US_DMARC \
	"dmarc|dkim|arc seal|unauthenticated email|unauthenticated mail|not authenticated|fails authentication|" \
	"sender id|authentication checks|authentication results|doesn't meet the required authentication level"
#define US_LIST \
	"dnsbl|rbl|rhsbl|dnswl|spamhaus|spamcop|barracudacentral|barracuda reputation|sorbs|uceprotect|abuseat|mailspike|" \
	"senderscore|surriel|spamrats|blocklist*|blacklist*|block list*|black list*|blocked using|denylist*|" \
	"banned sending ip|banned sender|ipcheck.proofpoint.com|listed by|listed at|listed in|is listed|are listed|you are listed|on our block|on a block|" \
	"real time black*|realtime black*|block listed"
#define US_REPUTATION \
	"reputation|poor reputation|senderbase|talosintelligence|unsolicited mail originating from|suspicious .. ip|" \
	"unusual rate of unsolicited|bad sender|detected as a spam source|spam source|suspicious activity|ip .. has been temporarily"
#define US_RDNS \
	"ptr|rdns|reverse dns|reverse-dns|reverse hostname|reverse lookup|reverse name|reverse address|cannot find your*|" \
	"can't find your*|no reverse|fix reverse|fcrdns|forward confirmed|does not resolve|missing reverse|dynamic ip|" \
	"dynamic .. address*|residential|generic hostname|iprev|client host name|cannot resolve your"
#define US_HELO \
	"helo command rejected|ehlo command rejected|bad helo|invalid helo|specified in helo"
#define US_LOGIN \
	"not logged in|authentication required|authentication is required|authenticate first|must authenticate|" \
	"client was not authenticated|was not authenticated|not authenticated|requires authentication|require authentication|" \
	"must be authenticated|smtp auth*|please authenticate|please log in|login first|authorization required|auth command first|" \
	"authorisation required|auth required|must check for new mail|pop before smtp|check your mail first|unauthenticated"
#define US_TLS \
	"starttls|encryption required|requires tls|require tls|requires encryption|requires high-strength|must use tls|tls required|encryption needed|" \
	"encryption is required|tls is required|session encryption"
#define US_SPOOF \
	"spoof*|anonymous users|sending as|send as|not owned by|forged|impersonat*|local sender|sender .. is local|" \
	"internal sender|own domain|inbound connector|attributedmessage|tenantattribution|tenantinboundattribution|" \
	"trusted relay|attribution"
#define US_ADDRESS \
	"client host rejected|client host|client ip|client address|your ip|your host|your server|your network|your mail server|" \
	"your mta|your address|your isp|your hostname|your message was rejected due to ip|sender ip|sending ip|sending mta|" \
	"sending server|remote host|connecting ip|source ip|ip address|connections from this|connections not accepted|" \
	"connections from .. not accepted|not on the list of|host rejected|host denied|host not allowed|" \
	"access list|access restriction*|ip is|this ip|from that address|from your|network not allowed|ask your postmaster|" \
	"ip you're using|not in whitelist|over ipv6|rejected by recipient"
#define ANY_DISTRUST \
	US_SPF "|" US_DMARC "|" US_LIST "|" US_REPUTATION "|" US_RDNS "|" US_LOGIN "|" US_SPOOF "|" US_ADDRESS

#define RELAY \
	"relay access denied|relaying denied|relaying is denied|relay denied|relay not permitted|relaying not permitted|" \
	"relaying not allowed|relay not allowed|relaying is not allowed|unable to relay|not permitted to relay|" \
	"not allowed to relay|no relaying|not relay*|we do not relay|we don't relay|cannot relay|can't relay|" \
	"relay is prohibited|relaying prohibited|relay prohibited|prohibited .. relay|refused to relay|relay attempt|" \
	"relay from|relay to|relaying mail|relaying|not a relay|open relay|not an open relay|must be a local*|not a gateway|" \
	"delivery is not allowed to this address|cannot deliver mail for|required for relay|relay rejected|for relay|rcpthosts|" \
	"domain isn't in my list*|domain isn't allowed|doesn't accept mail for|don't handle mail for|" \
	"do not handle mail for|not accept mail for|does not accept mail for|non-local .. address|not our domain|" \
	"not hosted here|not a local domain|not a local mail domain|not in accepted domain*|non-accepted domain|" \
	"recipient not local|not local"
#define NO_DOMAIN \
	"no such domain*|unknown domain|domain unknown|domain not found|domain does not exist|domain is unknown|" \
	"domain not configured|domain not hosted|domain not local|unrouteable mail domain|unroutable domain|no mailbox domain|" \
	"bad destination system|destination system address"
#define DOMAIN_OFF \
	"domain .. disabled|domain .. suspended|domain .. inactive|domain .. deactivated|domain .. expired|domain .. maintenance|" \
	"domain .. not active|account's domain|tenant .. disabled|tenant .. suspended|tenant .. expired|organization .. disabled|" \
	"tenant .. not found|account inbounds disabled|wrong office 365 region|no mail-enabled subscriptions|hosting .. suspended|domain .. locked|domain .. over quota|domain .. quota|domain .. bandwidth|domain .. closed"

/* Mailboxes. */
#define FULL \
	"over quota|overquota|quota exceeded|exceeded .. quota|exceeds .. quota|quota .. exceeded|quotum .. exceeded|out of quota|" \
	"quota|mailbox full|mailbox is full|mailbox .. full|mail box full|mailbox exceeded|mailbox has exceeded|mailbox would exceed|inbox is full|mailfolder is full|" \
	"mailfolder .. over|over .. allocation|exceeded storage allocation|storage .. exceeded|mailbox .. storage limit|" \
	"user is over|disk quota|no space left for user|mailbox .. size limit|insufficient disk space .. user|account is full|" \
	"account full"
#define THROTTLED \
	"receiving mail at a rate|receiving mail too quickly|receiving .. too|received too many|mailbox .. throttl*|" \
	"recipient .. rate|user .. rate|recipient .. throttl*|too many .. for this recipient|too many messages .. recipient|" \
	"recipient .. limit|recipient .. exceeded|mailbox busy|mailbox is busy|mailbox .. locked|mailbox in use|mailbox .. in use|" \
	"account .. locked|concurrent deliver*"
#define DISABLED \
	"mailbox disabled|mailbox is disabled|mailbox .. disabled|account disabled|account is disabled|account .. disabled|" \
	"account that you tried to reach is disabled|account inactive|account is inactive|account .. inactive|user disabled|" \
	"user is disabled|recipient disabled|mailbox .. inactive|mailbox .. suspended|account .. suspended|user .. suspended|" \
	"not accepting messages|no longer active|account closed|account is closed|mailbox .. deactivated|account .. deactivated|" \
	"address .. deactivated|not accepting mail|currently suspended|mailbox .. blocked|account .. blocked|account .. expired|" \
	"user .. inactive|address disabled|mailbox .. frozen|account is not active|recipient .. not active|has been disabled"
#define MOVED \
	"has moved|user moved|mailbox moved|address has changed|new address|no longer with|no longer works|user has moved|forwarding address"
#define CLOSED \
	"restricted|not allowed to send to|not permitted to send to|only members|members only|not accept mail from|" \
	"recipient does not accept|not authorized to send to|sender not authenticated for|sender denied|senders list|" \
	"sender .. not allowed|allowed senders|group .. not|external .. not|internal use only|internal only|" \
	"not accepting external|cannot receive .. external|not accept .. outside|no access|not authorized for|posting|moderat*|" \
	"delivery restriction*|access denied"
#define NOBODY \
	"not present in directory|user unknown|unknown user|no such user|no such recipient|no such mailbox|no such address|no such person|no such account|" \
	"no mailbox here|no mailbox by that name|user not found|user doesn't exist|user does not exist|recipient unknown|" \
	"unknown recipient|unknown mailbox|unknown address|unknown local*|address unknown|recipient not found|mailbox not found|" \
	"mailbox does not exist|mailbox doesn't exist|mailbox .. does not exist|account .. does not exist|address does not exist|" \
	"account does not exist|address doesn't exist|not a valid recipient|not a valid user|not a valid mailbox|invalid recipient|" \
	"invalid mailbox|invalid user|recipient .. does not exist|no user by that name|no account by that name|not our customer|" \
	"recipient address rejected: user|unrouteable address|unroutable address|unrouteable|does not have an account|" \
	"doesn't have .. account|recipientnotfound|not known|isn't a known user|is not a known user|" \
	"is unknown|not exist|no longer exists|account not found|account unavailable|unknown alias|there is no one|no one here|" \
	"no such name|not listed in|no local mailbox|unknown account|no account|recipient does not exist|user .. not exist"
#define UNVERIFIED \
	"unverified address|could not be verified|cannot be verified|unable to verify|verification failed|verification in progress|" \
	"could not complete recipient verify*|callout*|address verification|recipient verify|temporarily unable to verify|" \
	"verify user|cannot verify"
#define LOOKUP \
	"lookup failure|lookup failed|user lookup|failed to look up|failed to lookup|ldap|directory|database|server configuration*|" \
	"configuration error|internal error|local error|backend"

/* Senders and messages. */
#define SURELY_SENDER \
	"sender address rejected|sender verify|domain of sender|sender denied|envelope sender|sender rejected|sender verification"
#define SENDER \
	"sender address rejected|sender verify failed|sender verification|sender rejected|sender denied|sender .. not exist*|" \
	"domain of sender|sender domain|sender's domain|invalid sender|bad sender's|sender refused|unknown sender|from address|" \
	"mail from|envelope sender|envelope from|return path|sender address|sender's address|sender is invalid|sender email|" \
	"sender unknown|address of sender|bounce*|null sender|empty sender|your envelope sender|sender .. blocked|sender .. denied|" \
	"senders list|sender .. rejected"
#define LARGE \
	"too big|too large|size exceeds|exceeds .. size|exceeds .. maximum|exceeded .. size|exceeds fixed|size limit|" \
	"message size|size exceeded|maximum message|message exceeds|message file too*|message length|message .. larger|max message size"
#define VIRUS \
	"virus*|malware|infected|clamav|trojan|worm|phish*|exploit|malicious|eicar*|ransomware|macro*"
#define ATTACHMENT \
	"attachment*|file type|banned file*|banned name|banned content|filename*|file extension*|executable*|illegal attachment|" \
	"file name|banned|blocked file|security issue|zip file|archive"
#define SPAM \
	"spam*|unsolicited|junk|bulk|uce|ube|spf|gtube|content rejected|content filter*|content restrictions|score|suspicious|" \
	"considered .. unwanted|policy|policies|looks like spam|message content rejected|blocked .. content|" \
	"message rejected due to content*|high probability|spamassassin|uribl|surbl|dbl|url in|link*|advertis*"
#define FORMAT \
	"line length*|line too long|lines too long|header*|rfc 5322|rfc5322|rfc 2822|rfc 822|5322|bare|bare line|smtplf|bare newline|" \
	"stray newline|syntax|malformed|message-id|date field|missing from|missing date|8-bit|8bit|mime|charset|boundary|" \
	"multiple .. headers|not .. compliant|non-compliant|utf-8|character*|from header|illegal|invalid message|badly formed"
#define LOOP \
	"loop*|too many hops|hop count*|hops|too many received|routing loop|mail loop|received headers"
#define FILTER_DOWN \
	"service unavailable|error in processing|milter|content filter|antivirus|anti-virus|virus scanner|spam scanner|scanner|spamd|clamd|rspamd|" \
	"filter .. unavailable|filter .. fail*|unable to scan|scan .. fail*|scanning|policy server|server configuration problem|" \
	"server configuration error|local configuration error"
#define WEDGED \
	"insufficient system storage|insufficient system resource*|insufficient storage|out of memory|" \
	"no space|disk full|disk space|low on space|system storage|cannot write|can't create|unable to create|lack of space|" \
	"not enough space|file system full|filesystem .. full|resources exceeded|system resources|memory"

#define ROW(stages, when, code, status, words, verdict, kind, reason, says) \
	{ (stages), REPLY, WHEN_##when, code, status, words, VERDICT_##verdict, LANE_KIND_##kind, REASON_##reason, says }
#define END(stages, whats, verdict, kind, reason, says) \
	{ (stages), (whats), WHEN_ALWAYS, NULL, NULL, NULL, VERDICT_##verdict, LANE_KIND_##kind, REASON_##reason, says }

/* First match wins. */
static const struct verdict_rule rules[] = {
    /* Past the dot without an answer: the server may have the message, whatever ended the connection. */
    END(AT(DOT), ON(TIMEOUT), UNKNOWN, TIMEOUT, NO_REPLY_TO_DOT, "no reply to the dot in time"),
    END(AT(DOT), ON(GARBAGE), UNKNOWN, BANNER,  NO_REPLY_TO_DOT, "not SMTP after the dot"),
    END(AT(DOT), ON(TLS),     UNKNOWN, TLS,     NO_REPLY_TO_DOT, "TLS failed after the dot"),
    END(AT(DOT), LOST,        UNKNOWN, RESET,   NO_REPLY_TO_DOT, "connection lost after the dot"),

    /* The connection itself. */
    END(ANY, ON(LOCAL),                    LATER, NONE,    OWN_SYSTEM,         "no sockets or memory of our own"),
    END(ANY, ON(TLS),                      HOST,  TLS,     TLS_FAILED,         "the handshake failed"),
    END(ANY, ON(GARBAGE),                  HOST,  BANNER,  NOT_SMTP,           "no SMTP, or a reply that cannot be"),
    END(ANY, ON(TIMEOUT),                  HOST,  TIMEOUT, NO_ANSWER,          "no answer to connect or command"),
    END(ANY, ON(RESET),                    HOST,  RESET,   CONNECTION_LOST,    "reset or closed"),
    END(ANY, ON(REFUSED) | ON(UNREACHABLE), HOST, REFUSED, CONNECTION_REFUSED, "refused, or no route"),

    /* What the server cannot do for this message; the words are our own. */
    ROW(AT(FEATURE), ALWAYS, NULL, NULL, LARGE, MESSAGE, NONE, TOO_LARGE, "its SIZE is smaller"),
    ROW(AT(FEATURE), ALWAYS, NULL, NULL, NULL,  MESSAGE, NONE, FEATURE,   "an extension is missing"),

    /* Before a session. Whether we are distrusted or it is unwell: without a session the lane is down. */
    ROW(SESSION, ALWAYS, "2xx", NULL, NULL, OK, NONE, ACCEPTED, "all"),
    ROW(AT(TLS), ALWAYS, "3xx|50x|51x|52x|53x|54x|55x|454", NULL, NULL, HOST, TLS, TLS_FAILED, "STARTTLS refused: all"),
    ROW(SESSION, OTHERS_OPEN, "4xx|5xx", NULL, MANY_CONNECTIONS, CONN_LIMIT, 421, TOO_MANY_CONNECTIONS, "Exchange, Postfix, Exim, Barracuda"),
    ROW(SESSION, ALWAYS, "4xx", NULL, US_LIST "|" US_REPUTATION, HOST, 4XX, US_REPUTATION, "Cisco, Gmail, postscreen, Microsoft 365"),
    ROW(SESSION, ALWAYS, "4xx", NULL, US_RDNS, HOST, 4XX, US_REVERSE_DNS, "sendmail, OpenSMTPD, Haraka"),
    ROW(SESSION, OTHERS_OPEN, "421", NULL, NULL, CONN_LIMIT, 421, TOO_MANY_CONNECTIONS, "all"),
    ROW(SESSION, OTHERS_OPEN, "4xx", NULL, NULL, CONN_LIMIT, 4XX, TOO_MANY_CONNECTIONS, "all"),
    ROW(SESSION, ALWAYS, "421|4xx", NULL, MANY_CONNECTIONS, HOST, 421, TOO_MANY_CONNECTIONS, "others use the connections up"),
    ROW(SESSION, ALWAYS, "421", NULL, NULL, HOST, 421, SERVICE_CLOSED, "all"),
    ROW(SESSION, ALWAYS, "4xx", NULL, NULL, HOST, 4XX, SERVICE_CLOSED, "all"),
    ROW(SESSION, ALWAYS, "5xx", NULL, US_SPF, HOST, BANNER, US_SPF, "Stalwart at EHLO"),
    ROW(SESSION, ALWAYS, "5xx", NULL, US_LIST, HOST, BANNER, US_BLOCK_LIST, "Postfix, sendmail, Microsoft 365, Proofpoint"),
    ROW(SESSION, ALWAYS, "5xx", NULL, US_REPUTATION, HOST, BANNER, US_REPUTATION, "Cisco, Barracuda"),
    ROW(SESSION, ALWAYS, "5xx", NULL, US_RDNS, HOST, BANNER, US_REVERSE_DNS, "Haraka, OpenSMTPD, t-online"),
    ROW(AT(EHLO), ALWAYS, "5xx", NULL, US_HELO "|helo|ehlo", HOST, BANNER, US_HELO, "Exim, Postfix, Haraka"),
    ROW(SESSION, ALWAYS, "5xx", NULL, US_ADDRESS, HOST, BANNER, US_ADDRESS, "sendmail, Exim, Postfix"),
    ROW(SESSION, ALWAYS, "521|556", NULL, NULL, HOST, BANNER, NO_MAIL_SERVICE, "RFC 7504, Postfix"),
    ROW(SESSION, ALWAYS, "5xx", "5.7.*", NULL, HOST, BANNER, US_ADDRESS, "5.7 is about permission"),
    ROW(SESSION, ALWAYS, NULL, NULL, NULL, HOST, BANNER, SERVICE_REFUSED, "all"),

    /* Accepted. */
    ROW(MAIL | RCPT | AT(BODY) | AT(DOT), ALWAYS, "2xx", NULL, NULL, OK, NONE, ACCEPTED, "all"),
    ROW(AT(DATA),    ALWAYS, "3xx",         NULL, NULL, OK,   NONE,   ACCEPTED, "all"),
    ROW(TRANSACTION, ALWAYS, "0|xx|1xx|2xx|3xx", NULL, NULL, HOST, BANNER, NOT_SMTP, "a reply that does not fit the command"),

    /* 421 in a transaction: the server closes this connection. Limits first, since they have a pace. */
    ROW(TRANSACTION, ALWAYS, "421", NULL, GREYLIST, MESSAGE, NONE, GREYLISTED, "policy servers"),
    ROW(MAIL, ALWAYS, "421", NULL, "connection expired|try reconnecting", LATER, NONE, SESSION_USED_UP, "Gmail"),
    ROW(TRANSACTION, ALWAYS, "421", NULL, US_TLS, US, NONE, US_TLS, "Gmail: the domain demands it"),
    ROW(TRANSACTION, ALWAYS, "421", NULL, "not in whitelist", US, NONE, US_ADDRESS, "Gmail: the domain's inbound gateway"),
    ROW(TRANSACTION, ALWAYS, "421", "4.7.28", NULL, RATE, RATE, TOO_FAST, "Gmail, also when it names SPF"),
    ROW(TRANSACTION, ALWAYS, "421", NULL, US_SPF, US, NONE, US_SPF, "Gmail"),
    ROW(TRANSACTION, ALWAYS, "421", NULL, "reputation", US, NONE, US_REPUTATION, "Gmail"),
    ROW(TRANSACTION, ALWAYS, "421", "4.7.*", NULL, RATE, RATE, TOO_FAST, "Gmail, Postfix anvil, Yahoo"),
    ROW(TRANSACTION, ALWAYS, "421", NULL, "rate|rates|rate-limit*|ratelimit*|throttl*", RATE, RATE, TOO_FAST, "Exchange, Zimbra"),
    ROW(MAIL, ALWAYS, "421", NULL, USED_UP, LATER, NONE, SESSION_USED_UP, "Exim, Postfix, qmail: a new connection will do"),
    ROW(TRANSACTION, OTHERS_OPEN, "421", NULL, NULL, BUSY, 421, OVERLOADED, "while others are served"),
    ROW(TRANSACTION, ALWAYS, "421", NULL, NULL, HOST, 421, SERVICE_CLOSED, "all"),

    /* RCPT 4yz. */
    ROW(RCPT, ALWAYS, "4xx", NULL, GREYLIST, RECIPIENT, NONE, GREYLISTED, "postgrey, milter-greylist, rspamd, Exim"),
    ROW(RCPT, ALWAYS, "4xx|5xx", "*.2.2", NULL, RECIPIENT, NONE, MAILBOX_FULL, "all: no limit of the transaction"),
    ROW(RCPT, ALWAYS, "4xx", "4.2.1", DISABLED, RECIPIENT, NONE, MAILBOX_DISABLED, "Gmail, Cyrus"),
    ROW(RCPT, ALWAYS, "4xx", "4.2.1", NULL, RECIPIENT, NONE, MAILBOX_THROTTLED, "Gmail: above 60 a minute"),
    ROW(RCPT, ALWAYS, "4xx", NULL, DOMAIN_OFF, DOMAIN, NONE, DOMAIN_DISABLED, "Zimbra in maintenance, Microsoft 365 tenants"),
    ROW(RCPT, ALWAYS, "4xx", NULL, US_TLS, US, NONE, US_TLS, "Microsoft 365, Mimecast"),
    ROW(RCPT, SOME_ACCEPTED, "4xx|5xx", "*.5.3", NULL, LATER, NONE, TOO_MANY_RECIPIENTS, "Postfix, Exchange, Gmail"),
    ROW(RCPT, SOME_ACCEPTED, "4xx|5xx", NULL, MANY_RECIPIENTS, LATER, NONE, TOO_MANY_RECIPIENTS, "Exim, sendmail, qmail"),
    ROW(RCPT, ALWAYS, "452", "4.3.*", NULL, PRESSURE, 452, NO_SPACE, "Exchange under back pressure"),
    ROW(RCPT, ALWAYS, "4xx|552", NULL, FULL, RECIPIENT, NONE, MAILBOX_FULL, "all: no limit of the transaction"),
    ROW(RCPT, SOME_ACCEPTED, "452", NULL, NULL, LATER, NONE, TOO_MANY_RECIPIENTS, "RFC 5321 section 4.5.3.1.10"),
    ROW(RCPT, SOME_ACCEPTED, "552", "-", NULL, LATER, NONE, TOO_MANY_RECIPIENTS, "RFC 821's code for it"),
    ROW(RCPT, ALWAYS, "431", NULL, NULL, PRESSURE, 452, NO_SPACE, "old Exchange"),
    ROW(RCPT, ALWAYS, "4xx", "-", SURELY_FAST, RATE, RATE, TOO_FAST, "Cisco, Barracuda, Exim"),
    ROW(RCPT, ALWAYS, "452", "-", NULL, PRESSURE, 452, NO_SPACE, "sendmail, hMailServer"),
    ROW(RCPT, ALWAYS, "4xx", NULL, THROTTLED, RECIPIENT, NONE, MAILBOX_THROTTLED, "Microsoft 365, Gmail"),
    ROW(RCPT, ALWAYS, "4xx", "4.4.5", NULL, RATE, RATE, TOO_FAST, "Stalwart: congestion"),
    ROW(RCPT, ALWAYS, "4xx", NULL, US_SPF, US, NONE, US_SPF, "policy servers, Exim"),
    ROW(RCPT, ALWAYS, "4xx", NULL, SENDER "|" SURELY_SENDER, MESSAGE, NONE, SENDER_REFUSED, "Postfix, Exim: MAIL judged at RCPT"),
    ROW(RCPT, ALWAYS, "4xx", "4.1.7|4.1.8", NULL, MESSAGE, NONE, SENDER_REFUSED, "Postfix, sendmail"),
    ROW(RCPT, ALWAYS, "4xx", NULL, US_RDNS, US, NONE, US_REVERSE_DNS, "Postfix reject_unknown_client_hostname"),
    ROW(RCPT, ALWAYS, "4xx", NULL, US_LIST, US, NONE, US_BLOCK_LIST, "Postfix, Exim"),
    ROW(RCPT, ALWAYS, "4xx", NULL, US_HELO, US, NONE, US_HELO, "Postfix"),
    ROW(RCPT, ALWAYS, "4xx", "4.1.2", NULL, DOMAIN, NONE, DOMAIN_UNKNOWN, "all"),
    ROW(RCPT, ALWAYS, "4xx", NULL, RELAY "|" NO_DOMAIN, DOMAIN, NONE, RELAY_DENIED, "Postfix with soft_bounce or defer_unauth"),
    ROW(RCPT, ALWAYS, "4xx", NULL, US_REPUTATION, US, NONE, US_REPUTATION, "Microsoft 365, Cisco"),
    ROW(RCPT, ALWAYS, "4xx", "4.7.*", SURELY_FAST "|" BUSY "|too many|too much", RATE, RATE, TOO_FAST, "Microsoft 365, Postfix anvil, James"),
    ROW(RCPT, ALWAYS, "4xx", NULL, US_ADDRESS, US, NONE, US_ADDRESS, "Postfix, qmail"),
    ROW(RCPT, ALWAYS, "4xx", "4.7.*", "access denied", US, NONE, US_REPUTATION, "Microsoft 365, 4.7.850 to 899"),
    ROW(RCPT, ALWAYS, "4xx", NULL, TROUBLE, RECIPIENT, 4XX, RECIPIENT_UNWELL, "Exchange (PRX), Microsoft 365 (ATTR), Exim"),
    ROW(RCPT, ALWAYS, "4xx", NULL, US_DMARC "|" US_LOGIN, US, NONE, US_LOGIN, "policy servers"),
    ROW(RCPT, ALWAYS, "4xx", NULL, UNVERIFIED, RECIPIENT, NONE, RECIPIENT_UNVERIFIED, "Postfix, Exim"),
    ROW(RCPT, ALWAYS, "4xx", NULL, LOOKUP, RECIPIENT, 4XX, RECIPIENT_UNWELL, "Postfix, Exim, Zimbra"),
    ROW(RCPT, ALWAYS, "4xx", "4.2.0", NULL, RECIPIENT, NONE, GREYLISTED, "Postfix policy servers"),
    ROW(RCPT, ALWAYS, "4xx", "4.1.1", NULL, RECIPIENT, NONE, RECIPIENT_UNVERIFIED, "Postfix verify, soft_bounce"),
    ROW(RCPT, ALWAYS, "4xx", "4.3.*", NULL, RECIPIENT, 4XX, RECIPIENT_UNWELL, "the domain's mail system"),
    ROW(RCPT, ALWAYS, "4xx", "4.7.*", NULL, RECIPIENT, NONE, GREYLISTED, "a soft reject of a filter"),
    ROW(RCPT, ALWAYS, "4xx", NULL, NULL, RECIPIENT, NONE, RECIPIENT_DEFERRED, "all"),

    /* RCPT 5yz. The domain before ourselves: "relaying denied" often names our address too. */
    ROW(RCPT, ALWAYS, "5xx", NULL, "mailbox unavailable or not local", REFUSED, NONE, RECIPIENT_REFUSED, "MailEnable: says nothing certain"),
    ROW(RCPT, ALWAYS, "5xx", "5.2.121|5.2.122", NULL, RECIPIENT, NONE, MAILBOX_THROTTLED, "Microsoft 365: so many an hour"),
    ROW(RCPT, ALWAYS, "5xx", "5.7.12|5.7.124|5.7.13|5.7.133|5.7.134|5.7.135|5.7.136", NULL, REFUSED, NONE, RECIPIENT_CLOSED, "Microsoft 365: groups"),
    ROW(RCPT, ALWAYS, "5xx", NULL, "resolver.rst.auth*|resolver.rst.not*|resolver.rst.sender*", REFUSED, NONE, RECIPIENT_CLOSED, "Exchange: groups"),
    ROW(RCPT, ALWAYS, "551", NULL, "please try|forward*", REFUSED, NONE, MAILBOX_MOVED, "RFC 5321 section 3.4"),
    ROW(RCPT, ALWAYS, "5xx", NULL, "not logged in|smtp auth is required|requires authentication before", US, NONE, US_LOGIN, "Postfix, iRedAPD, SmarterMail"),
    ROW(RCPT, ALWAYS, "5xx", NULL, "not owned by", US, NONE, US_SPOOFING, "Postfix"),
    ROW(RCPT, ALWAYS, "5xx", NULL, SURELY_SENDER, MESSAGE, NONE, SENDER_REFUSED, "Postfix, Exim: MAIL judged at RCPT"),
    ROW(RCPT, ALWAYS, "5xx", NULL, DOMAIN_OFF, DOMAIN, NONE, DOMAIN_DISABLED, "hosters, Zimbra"),
    ROW(RCPT, ALWAYS, "5xx", NULL, RELAY, DOMAIN, NONE, RELAY_DENIED, "all"),
    ROW(RCPT, ALWAYS, "5xx", "5.1.2", NOBODY, REFUSED, NONE, NO_SUCH_USER, "Stalwart"),
    ROW(RCPT, ALWAYS, "5xx", "5.1.2", NULL, DOMAIN, NONE, DOMAIN_UNKNOWN, "all"),
    ROW(RCPT, ALWAYS, "5xx", NULL, NO_DOMAIN, DOMAIN, NONE, DOMAIN_UNKNOWN, "Exim, Kerio"),
    ROW(RCPT, ALWAYS, "5xx", NULL, US_TLS, US, NONE, US_TLS, "Mimecast"),
    ROW(RCPT, ALWAYS, "530", NULL, NULL, US, NONE, US_LOGIN, "all"),
    ROW(RCPT, ALWAYS, "5xx", NULL, US_SPF, US, NONE, US_SPF, "all"),
    ROW(RCPT, ALWAYS, "5xx", "5.7.23|5.7.24", NULL, US, NONE, US_SPF, "RFC 7372"),
    ROW(RCPT, ALWAYS, "5xx", "5.7.25|5.7.27", NULL, US, NONE, US_REVERSE_DNS, "RFC 7372"),
    ROW(RCPT, ALWAYS, "5xx", NULL, US_RDNS, US, NONE, US_REVERSE_DNS, "Postfix, Exim"),
    ROW(RCPT, ALWAYS, "5xx", NULL, US_LIST, US, NONE, US_BLOCK_LIST, "all"),
    ROW(RCPT, ALWAYS, "5xx", NULL, US_HELO, US, NONE, US_HELO, "Postfix, Exim"),
    ROW(RCPT, ALWAYS, "5xx", "5.2.1", NULL, RECIPIENT, NONE, MAILBOX_DISABLED, "Gmail, Exchange"),
    ROW(RCPT, ALWAYS, "5xx", "5.2.3|5.3.4", NULL, MESSAGE, NONE, TOO_LARGE, "RFC 1870"),
    ROW(RCPT, ALWAYS, "5xx", "5.1.7|5.1.8", NULL, MESSAGE, NONE, SENDER_REFUSED, "Postfix, sendmail"),
    ROW(RCPT, ALWAYS, "5xx", NULL, FULL, RECIPIENT, NONE, MAILBOX_FULL, "all"),
    ROW(RCPT, ALWAYS, "5xx", "5.1.0|5.1.1|5.1.10", NULL, REFUSED, NONE, NO_SUCH_USER, "all"),
    ROW(RCPT, ALWAYS, "5xx", NULL, US_DMARC, US, NONE, US_DMARC, "all"),
    ROW(RCPT, ALWAYS, "5xx", NULL, SENDER, MESSAGE, NONE, SENDER_REFUSED, "Postfix, Exim: MAIL judged at RCPT"),
    ROW(RCPT, ALWAYS, "5xx", NULL, US_LOGIN, US, NONE, US_LOGIN, "Exchange, MailEnable"),
    ROW(RCPT, ALWAYS, "5xx", NULL, US_REPUTATION, US, NONE, US_REPUTATION, "Cisco, Mimecast"),
    ROW(RCPT, ALWAYS, "5xx", NULL, US_SPOOF, US, NONE, US_SPOOFING, "Exchange, Mimecast"),
    ROW(RCPT, ALWAYS, "5xx", NULL, DISABLED, RECIPIENT, NONE, MAILBOX_DISABLED, "all"),
    ROW(RCPT, ALWAYS, "5xx", "5.1.6|5.1.9", NULL, REFUSED, NONE, MAILBOX_MOVED, "sendmail REDIRECT"),
    ROW(RCPT, ALWAYS, "5xx", "5.4.1", NULL, REFUSED, NONE, NO_SUCH_USER, "Microsoft 365's ordinary unknown user"),
    ROW(RCPT, ALWAYS, "5xx", NULL, NOBODY, REFUSED, NONE, NO_SUCH_USER, "all"),
    ROW(RCPT, ALWAYS, "5xx", NULL, MOVED, REFUSED, NONE, MAILBOX_MOVED, "sendmail, Postfix relocated"),
    ROW(RCPT, ALWAYS, "5xx", "5.1.3|5.1.4|5.1.5", NULL, REFUSED, NONE, ADDRESS_SYNTAX, "all"),
    ROW(RCPT, ALWAYS, "5xx", "-", "malformed address|address syntax|bad address", REFUSED, NONE, ADDRESS_SYNTAX, "Exim"),
    ROW(RCPT, ALWAYS, "5xx", NULL, US_ADDRESS, US, NONE, US_ADDRESS, "Postfix client access, qmail"),
    ROW(RCPT, ALWAYS, "5xx", NULL, CLOSED, REFUSED, NONE, RECIPIENT_CLOSED, "Exchange groups, Postfix"),
    ROW(RCPT, ALWAYS, "5xx", "5.7.*", "recipient*|user|mailbox|group|address", REFUSED, NONE, RECIPIENT_CLOSED, "all"),
    ROW(RCPT, ALWAYS, "5xx", "5.7.*", NULL, US, NONE, US_ADDRESS, "5.7 before any content is about permission"),
    ROW(RCPT, ALWAYS, "5xx", NULL, NULL, REFUSED, NONE, RECIPIENT_REFUSED, "all"),

    /* MAIL and content, 4yz. */
    ROW(MAIL | CONTENT, ALWAYS, "4xx", NULL, GREYLIST, MESSAGE, NONE, GREYLISTED, "milters, rspamd"),
    ROW(CONTENT, ALWAYS, "4xx", NULL, "recipient thread limit", RECIPIENT, NONE, MAILBOX_THROTTLED, "Exchange"),
    ROW(CONTENT, ALWAYS, "4xx", "4.4.6", NULL, MESSAGE, NONE, LOOP, "Stalwart"),
    ROW(CONTENT, ALWAYS, "4xx", NULL, "smtplf|bare lf|bare newline|stray newline", MESSAGE, NONE, FORMAT, "qmail"),
    ROW(MAIL | CONTENT, ALWAYS, "4xx", "4.1.*", NULL, MESSAGE, NONE, SENDER_REFUSED, "Postfix, sendmail"),
    ROW(CONTENT, ALWAYS, "4xx", "4.2.2", NULL, RECIPIENT, NONE, MAILBOX_FULL, "Exchange, Dovecot behind a proxy"),
    ROW(MAIL | CONTENT, ALWAYS, "4xx", "4.2.*", NULL, MESSAGE, NONE, MESSAGE_DEFERRED, "a mailbox defers the message"),
    ROW(MAIL | CONTENT, ALWAYS, "4xx", NULL, US_SPF, US, NONE, US_SPF, "all"),
    ROW(MAIL | CONTENT, ALWAYS, "4xx", NULL, US_RDNS, US, NONE, US_REVERSE_DNS, "all"),
    ROW(MAIL | CONTENT, ALWAYS, "4xx", NULL, US_LIST "|" US_REPUTATION, US, NONE, US_REPUTATION, "Gmail, Cisco"),
    ROW(MAIL | CONTENT, ALWAYS, "4xx", NULL, US_DMARC, US, NONE, US_DMARC, "Gmail"),
    ROW(MAIL | CONTENT, ALWAYS, "4xx", "4.7.*", "access denied", US, NONE, US_REPUTATION, "Microsoft 365, 4.7.850 to 899"),
    ROW(MAIL | CONTENT, ALWAYS, "452|431", NULL, NULL, PRESSURE, 452, NO_SPACE, "Exchange, Postfix, sendmail, Exim"),
    ROW(MAIL | CONTENT, ALWAYS, "4xx", NULL, WEDGED, PRESSURE, 452, NO_SPACE, "qmail, Microsoft 365"),
    ROW(MAIL | CONTENT, ALWAYS, "4xx", NULL, FILTER_DOWN, PRESSURE, 4XX, FILTER_DOWN, "Exim, amavis"),
    ROW(MAIL | CONTENT, ALWAYS, "4xx", "4.3.*", NULL, PRESSURE, 452, SYSTEM_UNWELL, "Postfix, sendmail"),
    ROW(MAIL | CONTENT, ALWAYS, "4xx", NULL, TROUBLE, PRESSURE, 4XX, SYSTEM_UNWELL, "Exchange (PRX), Exim, James"),
    ROW(MAIL | CONTENT, ALWAYS, "4xx", NULL, SURELY_FAST, RATE, RATE, TOO_FAST, "rspamd, Exim"),
    ROW(CONTENT, ALWAYS, "450|451", "4.7.1", "try again later|please try again", MESSAGE, NONE, GREYLISTED, "rspamd's soft reject"),
    ROW(MAIL | CONTENT, ALWAYS, "4xx", "4.7.*", NULL, RATE, RATE, TOO_FAST, "Microsoft 365, Postfix anvil"),
    ROW(MAIL | CONTENT, ALWAYS, "4xx", "4.4.5", NULL, RATE, RATE, TOO_FAST, "congestion"),
    ROW(MAIL | CONTENT, ALWAYS, "4xx", NULL, TOO_FAST "|" BUSY, RATE, RATE, TOO_FAST, "Exim, Yahoo"),
    ROW(MAIL, ALWAYS, "451", "-", NULL, PRESSURE, 4XX, SYSTEM_UNWELL, "Exim, qmail: local error"),
    ROW(MAIL | CONTENT, ALWAYS, "4xx", NULL, NULL, MESSAGE, NONE, MESSAGE_DEFERRED, "all"),

    /* MAIL and content, 5yz. */
    ROW(MAIL | CONTENT, ALWAYS, "530", NULL, US_TLS, US, NONE, US_TLS, "all"),
    ROW(MAIL | CONTENT, ALWAYS, "530", NULL, NULL, US, NONE, US_LOGIN, "all"),
    ROW(CONTENT, ALWAYS, "5xx", NULL, VIRUS, MESSAGE, NONE, VIRUS, "all"),
    ROW(CONTENT, ALWAYS, "5xx", "5.6.*", "spam*", MESSAGE, NONE, SPAM, "all"),
    ROW(CONTENT, ALWAYS, "5xx", "5.6.*", NULL, MESSAGE, NONE, FORMAT, "all: 5.6 is the form of the message"),
    ROW(MAIL | CONTENT, ALWAYS, "5xx", NULL, US_SPF, US, NONE, US_SPF, "all"),
    ROW(MAIL | CONTENT, ALWAYS, "5xx", NULL, US_DMARC, US, NONE, US_DMARC, "Gmail, Microsoft 365"),
    ROW(MAIL | CONTENT, ALWAYS, "5xx", NULL, US_LIST, US, NONE, US_BLOCK_LIST, "all"),
    ROW(MAIL | CONTENT, ALWAYS, "5xx", NULL, US_REPUTATION, US, NONE, US_REPUTATION, "all"),
    ROW(MAIL | CONTENT, ALWAYS, "5xx", NULL, US_RDNS, US, NONE, US_REVERSE_DNS, "all"),
    ROW(MAIL, ALWAYS, "5xx", NULL, US_HELO, US, NONE, US_HELO, "Microsoft 365"),
    ROW(MAIL | CONTENT, ALWAYS, "5xx", NULL, US_SPOOF, US, NONE, US_SPOOFING, "Exchange, Microsoft 365, Mimecast"),
    ROW(MAIL | CONTENT, ALWAYS, "5xx", NULL, US_LOGIN, US, NONE, US_LOGIN, "all"),
    ROW(MAIL | CONTENT, ALWAYS, "5xx", NULL, US_ADDRESS, US, NONE, US_ADDRESS, "all"),
    ROW(MAIL | CONTENT, ALWAYS, "5xx", NULL, RELAY, DOMAIN, NONE, RELAY_DENIED, "Exim, Microsoft 365"),
    ROW(CONTENT, ALWAYS, "5xx", "5.1.1|5.1.10", NULL, REFUSED, NONE, NO_SUCH_USER, "Exchange: for one of them"),
    ROW(CONTENT, ALWAYS, "5xx", "5.2.2", NULL, RECIPIENT, NONE, MAILBOX_FULL, "Exchange"),
    ROW(MAIL | CONTENT, ALWAYS, "5xx", "5.3.4|5.2.3", NULL, MESSAGE, NONE, TOO_LARGE, "all"),
    ROW(MAIL | CONTENT, ALWAYS, "5xx", NULL, LARGE, MESSAGE, NONE, TOO_LARGE, "all"),
    ROW(MAIL, ALWAYS, "5xx", NULL, NULL, MESSAGE, NONE, SENDER_REFUSED, "all"),
    ROW(CONTENT, ALWAYS, "5xx", NULL, NOBODY, REFUSED, NONE, NO_SUCH_USER, "Postfix, Exim at DATA"),
    ROW(CONTENT, ALWAYS, "5xx", NULL, LOOP, MESSAGE, NONE, LOOP, "all"),
    ROW(CONTENT, ALWAYS, "5xx", NULL, ATTACHMENT, MESSAGE, NONE, ATTACHMENT, "all"),
    ROW(CONTENT, ALWAYS, "5xx", NULL, SPAM, MESSAGE, NONE, SPAM, "all"),
    ROW(CONTENT, ALWAYS, "5xx", NULL, FORMAT, MESSAGE, NONE, FORMAT, "all"),
    ROW(CONTENT, ALWAYS, "5xx", NULL, NULL, MESSAGE, NONE, MESSAGE_REFUSED, "all"),
};
/* clang-format on */

size_t verdict_rule_count(void)
{
	return sizeof(rules) / sizeof(rules[0]);
}

const struct verdict_rule *verdict_rule_at(size_t index)
{
	check(index < verdict_rule_count());
	return &rules[index];
}
