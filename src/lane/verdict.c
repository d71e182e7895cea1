#include "lane/verdict.h"

#include "base/check.h"
#include "lane/words.h"

/* The sets that rows are made of. */
#define AT(stage) (1u << VERDICT_AT_##stage)
#define ON(what)  (1u << VERDICT_##what)

enum {
	BEFORE_SESSION = AT(CONNECT) | AT(BANNER) | AT(EHLO) | AT(TLS), /* EHLO is not finished */
	BEFORE_DOT = AT(MAIL) | AT(RCPT) | AT(DATA) | AT(BODY),
	CONTENT = AT(DATA) | AT(BODY) | AT(DOT), /* what is refused here is the message, not an address */
	TRANSACTION = AT(MAIL) | AT(RCPT) | CONTENT,
	ANY_STAGE = BEFORE_SESSION | TRANSACTION | AT(FEATURE),

	REPLY = ON(REPLY),
	LOST = ON(CONN_REFUSED) | ON(CONN_UNREACHABLE) | ON(CONN_TIMEOUT) | ON(CONN_RESET) | ON(CONN_TLS) |
	       ON(CONN_GARBAGE) | ON(CONN_LOCAL),
	CLOSED = ON(CONN_REFUSED) | ON(CONN_UNREACHABLE) | ON(CONN_RESET),
};

enum condition {
	ALWAYS = 0,
	OTHERS_OPEN = 1,   /* other connections of ours are open: they say that the server lives */
	SOME_ACCEPTED = 2, /* this transaction has a recipient already */
};

struct rule {
	uint32_t stages, whats;
	uint16_t low, high; /* basic codes; 0, 0: any */
	enum condition when;
	const char *status; /* enhanced code: "4.2.*", "*.1.2"; NULL: any or none; "-": there is none */
	const char *words;  /* one of them stands in the text, see words.h; NULL: any text */
	enum verdict verdict;
	enum lane_kind kind;
	const char *name;
};

#define GREYLIST_WORDS "greylist*|graylist*|grey-list*|gray-list*|grey list*|gray list*|postgrey"
#define RATE_WORDS     "rate|rates|rate-limit*|ratelimit*|too many|too much|too fast|throttl*|limit|limits|busy"
#define DISTRUST_WORDS                                                               \
	"spf|dmarc|dnsbl|rbl|rhsbl|spamhaus|spamcop|barracuda*|reputation|"          \
	"blocklist*|blacklist*|block list|black list|blocked using|access list|"     \
	"ptr|rdns|reverse dns|reverse hostname|reverse lookup|cannot find your*|"    \
	"not logged in|authentication required|authentication is required|"          \
	"must authenticate|not authenticated|was not authenticated|"                 \
	"client host|client ip|helo command rejected|ehlo command rejected|your ip|" \
	"your host|your server|sender ip|sending ip|sending mta|banned sending"
#define RELAY_WORDS                                                                   \
	"relay*|not local|not a local*|no such domain*|domain not found|"             \
	"not hosted here|not in my rcpthosts|rcpthosts|domain isn't in my list*|"     \
	"don't handle mail for|do not handle mail for|unknown domain|not our domain|" \
	"not accept mail for that domain|unrouteable mail domain|not a gateway"
#define TIRED_WORDS                                                                 \
	"too many messages|too many transactions|messages in this connection|idle|" \
	"timeout|timed out"

/* First match wins. */
static const struct rule rules[] = {
    /* Past the dot without an answer: the server may have the message. */
    {AT(DOT), ON(CONN_TIMEOUT), 0, 0, ALWAYS, NULL, NULL, VERDICT_UNKNOWN, LANE_KIND_TIMEOUT,
     "no reply to the final dot in time"},
    {AT(DOT), ON(CONN_GARBAGE), 0, 0, ALWAYS, NULL, NULL, VERDICT_UNKNOWN, LANE_KIND_BANNER,
     "not SMTP after the final dot"},
    {AT(DOT), ON(CONN_TLS), 0, 0, ALWAYS, NULL, NULL, VERDICT_UNKNOWN, LANE_KIND_TLS,
     "TLS failed after the final dot"},
    {AT(DOT), LOST, 0, 0, ALWAYS, NULL, NULL, VERDICT_UNKNOWN, LANE_KIND_RESET,
     "connection lost after the final dot"},

    /* The connection itself. */
    {ANY_STAGE, ON(CONN_LOCAL), 0, 0, ALWAYS, NULL, NULL, VERDICT_LATER, LANE_KIND_NONE,
     "our own system refused"},
    {ANY_STAGE, ON(CONN_TLS), 0, 0, ALWAYS, NULL, NULL, VERDICT_HOST, LANE_KIND_TLS, "TLS failed"},
    {ANY_STAGE, ON(CONN_GARBAGE), 0, 0, ALWAYS, NULL, NULL, VERDICT_HOST, LANE_KIND_BANNER,
     "what answers is not SMTP"},
    {ANY_STAGE, ON(CONN_TIMEOUT), 0, 0, ALWAYS, NULL, NULL, VERDICT_HOST, LANE_KIND_TIMEOUT,
     "no answer in time"},
    {ANY_STAGE, ON(CONN_RESET), 0, 0, ALWAYS, NULL, NULL, VERDICT_HOST, LANE_KIND_RESET,
     "connection reset or closed"},
    {ANY_STAGE, CLOSED, 0, 0, ALWAYS, NULL, NULL, VERDICT_HOST, LANE_KIND_REFUSED,
     "connection refused or no route"},

    /* What the server cannot do for this message. */
    {AT(FEATURE), REPLY, 0, 0, ALWAYS, NULL, NULL, VERDICT_MESSAGE, LANE_KIND_NONE,
     "the server lacks what the message needs"},

    /* Before a session stands. */
    {BEFORE_SESSION, REPLY, 200, 299, ALWAYS, NULL, NULL, VERDICT_OK, LANE_KIND_NONE, "session accepted"},
    {BEFORE_SESSION, REPLY, 421, 421, OTHERS_OPEN, NULL, NULL, VERDICT_CONN_LIMIT, LANE_KIND_421,
     "one connection too many"},
    {AT(CONNECT) | AT(BANNER) | AT(EHLO), REPLY, 400, 499, OTHERS_OPEN, NULL, NULL, VERDICT_CONN_LIMIT,
     LANE_KIND_4XX, "one connection too many"},
    {BEFORE_SESSION, REPLY, 500, 599, OTHERS_OPEN, NULL, "too many|concurrent*|simultaneous*",
     VERDICT_CONN_LIMIT, LANE_KIND_4XX, "one connection too many"},
    {BEFORE_SESSION, REPLY, 421, 421, ALWAYS, NULL, NULL, VERDICT_HOST, LANE_KIND_421,
     "421 before a session"},
    {AT(TLS), REPLY, 300, 599, ALWAYS, NULL, NULL, VERDICT_HOST, LANE_KIND_TLS, "STARTTLS refused"},
    {BEFORE_SESSION, REPLY, 400, 499, ALWAYS, NULL, NULL, VERDICT_HOST, LANE_KIND_4XX,
     "4yz before a session"},
    {BEFORE_SESSION, REPLY, 500, 599, ALWAYS, NULL, DISTRUST_WORDS, VERDICT_HOST, LANE_KIND_BANNER,
     "our address is refused before a session"},
    {BEFORE_SESSION, REPLY, 0, 0, ALWAYS, NULL, NULL, VERDICT_HOST, LANE_KIND_BANNER, "5yz before a session"},

    /* Accepted. */
    {AT(MAIL) | AT(RCPT) | AT(BODY) | AT(DOT), REPLY, 200, 299, ALWAYS, NULL, NULL, VERDICT_OK,
     LANE_KIND_NONE, "accepted"},
    {AT(DATA), REPLY, 300, 399, ALWAYS, NULL, NULL, VERDICT_OK, LANE_KIND_NONE, "accepted"},
    {TRANSACTION, REPLY, 0, 399, ALWAYS, NULL, NULL, VERDICT_HOST, LANE_KIND_BANNER,
     "a reply that does not fit the command"},

    /* 421: the server closes this connection. */
    {TRANSACTION, REPLY, 421, 421, ALWAYS, "4.7.*", NULL, VERDICT_RATE, LANE_KIND_RATE, "421 4.7: slow down"},
    {TRANSACTION, REPLY, 421, 421, ALWAYS, NULL, "rate|rate-limit*|ratelimit*|throttl*", VERDICT_RATE,
     LANE_KIND_RATE, "421 with a rate limit"},
    {AT(MAIL), REPLY, 421, 421, ALWAYS, NULL, TIRED_WORDS, VERDICT_LATER, LANE_KIND_NONE,
     "connection used up"},
    {TRANSACTION, REPLY, 421, 421, OTHERS_OPEN, NULL, NULL, VERDICT_BUSY, LANE_KIND_421,
     "421 while others are served"},
    {TRANSACTION, REPLY, 421, 421, ALWAYS, NULL, NULL, VERDICT_HOST, LANE_KIND_421, "421 in a transaction"},

    /* Greylisting, at whatever stage, is about this message and ends by itself. */
    {AT(RCPT), REPLY, 400, 499, ALWAYS, NULL, GREYLIST_WORDS, VERDICT_RECIPIENT, LANE_KIND_NONE,
     "greylisted"},
    {AT(MAIL) | CONTENT, REPLY, 400, 499, ALWAYS, NULL, GREYLIST_WORDS, VERDICT_MESSAGE, LANE_KIND_NONE,
     "greylisted"},

    /* RCPT 4yz. The mailbox first: "452 4.2.2 over quota" is no limit of the transaction. */
    {AT(RCPT), REPLY, 400, 599, ALWAYS, "*.2.*", NULL, VERDICT_RECIPIENT, LANE_KIND_NONE,
     "mailbox full or throttled"},
    {AT(RCPT), REPLY, 400, 599, ALWAYS, "-", "quota|over quota|mailbox full|mailbox is full",
     VERDICT_RECIPIENT, LANE_KIND_NONE, "mailbox full"},
    {AT(RCPT), REPLY, 452, 452, ALWAYS, "4.3.*", NULL, VERDICT_PRESSURE, LANE_KIND_452,
     "out of resources at RCPT"},
    {AT(RCPT), REPLY, 400, 599, SOME_ACCEPTED, "*.5.3", NULL, VERDICT_LATER, LANE_KIND_NONE,
     "too many recipients"},
    {AT(RCPT), REPLY, 400, 599, SOME_ACCEPTED, NULL, "too many recipients", VERDICT_LATER, LANE_KIND_NONE,
     "too many recipients"},
    {AT(RCPT), REPLY, 452, 452, SOME_ACCEPTED, NULL, NULL, VERDICT_LATER, LANE_KIND_NONE,
     "too many recipients"},
    {AT(RCPT), REPLY, 552, 552, SOME_ACCEPTED, "-", NULL, VERDICT_LATER, LANE_KIND_NONE,
     "too many recipients"},
    {AT(RCPT), REPLY, 431, 431, ALWAYS, NULL, NULL, VERDICT_PRESSURE, LANE_KIND_452,
     "out of resources at RCPT"},
    {AT(RCPT), REPLY, 452, 452, ALWAYS, "-", NULL, VERDICT_PRESSURE, LANE_KIND_452,
     "out of resources at RCPT"},
    {AT(RCPT), REPLY, 400, 499, ALWAYS, NULL, DISTRUST_WORDS, VERDICT_US, LANE_KIND_NONE,
     "the server distrusts us"},
    {AT(RCPT), REPLY, 400, 499, ALWAYS, "4.7.*", RATE_WORDS, VERDICT_RATE, LANE_KIND_RATE,
     "rate limit at RCPT"},
    {AT(RCPT), REPLY, 400, 499, ALWAYS, "4.3.*", NULL, VERDICT_RECIPIENT, LANE_KIND_4XX,
     "the domain's mail system is unwell"},
    {AT(RCPT), REPLY, 400, 499, ALWAYS, "4.1.2", NULL, VERDICT_DOMAIN, LANE_KIND_NONE,
     "the domain is not known now"},
    {AT(RCPT), REPLY, 400, 499, ALWAYS, NULL, NULL, VERDICT_RECIPIENT, LANE_KIND_NONE, "recipient deferred"},

    /* RCPT 5yz. The domain before ourselves: "relaying denied" often names our address too. */
    {AT(RCPT), REPLY, 500, 599, ALWAYS, "5.1.2", NULL, VERDICT_DOMAIN, LANE_KIND_NONE,
     "the domain is not known there"},
    {AT(RCPT), REPLY, 500, 599, ALWAYS, NULL, RELAY_WORDS, VERDICT_DOMAIN, LANE_KIND_NONE, "relaying denied"},
    {AT(RCPT), REPLY, 530, 530, ALWAYS, NULL, NULL, VERDICT_US, LANE_KIND_NONE, "authentication wanted"},
    {AT(RCPT), REPLY, 500, 599, ALWAYS, NULL, DISTRUST_WORDS, VERDICT_US, LANE_KIND_NONE,
     "the server distrusts us"},
    {AT(RCPT), REPLY, 500, 599, ALWAYS, NULL, NULL, VERDICT_REFUSED, LANE_KIND_NONE, "recipient refused"},

    /* MAIL and content, 4yz. A mailbox or an address is the message's; then distrust, resources, rates. */
    {AT(MAIL) | CONTENT, REPLY, 400, 499, ALWAYS, "4.1.*", NULL, VERDICT_MESSAGE, LANE_KIND_NONE,
     "sender deferred"},
    {AT(MAIL) | CONTENT, REPLY, 400, 499, ALWAYS, "4.2.*", NULL, VERDICT_MESSAGE, LANE_KIND_NONE,
     "a mailbox defers the message"},
    {AT(MAIL) | CONTENT, REPLY, 400, 499, ALWAYS, NULL, DISTRUST_WORDS, VERDICT_US, LANE_KIND_NONE,
     "the server distrusts us"},
    {AT(MAIL) | CONTENT, REPLY, 452, 452, ALWAYS, NULL, NULL, VERDICT_PRESSURE, LANE_KIND_452,
     "out of resources"},
    {AT(MAIL) | CONTENT, REPLY, 431, 431, ALWAYS, NULL, NULL, VERDICT_PRESSURE, LANE_KIND_452,
     "out of resources"},
    {AT(MAIL) | CONTENT, REPLY, 400, 499, ALWAYS, "4.3.*", NULL, VERDICT_PRESSURE, LANE_KIND_452,
     "the mail system is unwell"},
    {AT(MAIL) | CONTENT, REPLY, 450, 451, ALWAYS, "4.7.1", "service unavailable", VERDICT_PRESSURE,
     LANE_KIND_4XX, "its filter is out of service"},
    /* rspamd's soft reject, which greylists: "451 4.7.1 Try again later". */
    {CONTENT, REPLY, 450, 451, ALWAYS, "4.7.1", "try again later", VERDICT_MESSAGE, LANE_KIND_NONE,
     "soft reject by a filter"},
    {AT(MAIL) | CONTENT, REPLY, 400, 499, ALWAYS, "4.7.*", NULL, VERDICT_RATE, LANE_KIND_RATE,
     "4.7: slow down"},
    {AT(MAIL) | CONTENT, REPLY, 400, 499, ALWAYS, "4.4.5", NULL, VERDICT_RATE, LANE_KIND_RATE, "congestion"},
    {AT(MAIL) | CONTENT, REPLY, 400, 499, ALWAYS, NULL, RATE_WORDS, VERDICT_RATE, LANE_KIND_RATE,
     "a rate limit in words"},
    {AT(MAIL), REPLY, 451, 451, ALWAYS, "-", NULL, VERDICT_PRESSURE, LANE_KIND_4XX, "local error at MAIL"},
    {AT(MAIL) | CONTENT, REPLY, 400, 499, ALWAYS, NULL, NULL, VERDICT_MESSAGE, LANE_KIND_NONE,
     "message deferred"},

    /* MAIL and content, 5yz. */
    {AT(MAIL), REPLY, 530, 530, ALWAYS, NULL, NULL, VERDICT_US, LANE_KIND_NONE, "authentication wanted"},
    {AT(MAIL) | CONTENT, REPLY, 500, 599, ALWAYS, NULL, DISTRUST_WORDS, VERDICT_US, LANE_KIND_NONE,
     "the server distrusts us"},
    {AT(MAIL) | CONTENT, REPLY, 500, 599, ALWAYS, NULL, RELAY_WORDS, VERDICT_DOMAIN, LANE_KIND_NONE,
     "relaying denied"},
    {AT(MAIL), REPLY, 500, 599, ALWAYS, NULL, NULL, VERDICT_MESSAGE, LANE_KIND_NONE,
     "sender or size refused"},
    {CONTENT, REPLY, 500, 599, ALWAYS, NULL, NULL, VERDICT_MESSAGE, LANE_KIND_NONE, "content refused"},
};

/* pattern: three parts of one digit or '*' or a number of up to three digits. */
static bool part_matches(const char **pattern, uint16_t part)
{
	const char *p = *pattern;
	unsigned number = 0;
	bool any = *p == '*';

	if (any)
		p++;
	while (*p >= '0' && *p <= '9')
		number = number * 10 + (unsigned)(*p++ - '0');
	if (*p == '.')
		p++;
	*pattern = p;
	return any || number == part;
}

static bool status_matches(const char *pattern, const struct verdict_event *event)
{
	if (pattern == NULL)
		return true;
	if (*pattern == '-')
		return event->class == 0;
	return event->class != 0 && part_matches(&pattern, event->class) &&
	       part_matches(&pattern, event->subject) && part_matches(&pattern, event->detail);
}

static bool condition_holds(enum condition when, const struct verdict_event *event)
{
	switch (when) {
	case ALWAYS:
		return true;
	case OTHERS_OPEN:
		return event->others_open;
	case SOME_ACCEPTED:
		return event->accepted_before > 0;
	}
	check_never();
}

static bool rule_matches(const struct rule *rule, const struct verdict_event *event)
{
	if ((rule->stages & (1u << event->stage)) == 0 || (rule->whats & (1u << event->what)) == 0)
		return false;
	if (event->what == VERDICT_REPLY && rule->high != 0 &&
	    (event->code < rule->low || event->code > rule->high))
		return false;
	if (!status_matches(rule->status, event) || !condition_holds(rule->when, event))
		return false;
	return rule->words == NULL || words_any(event->text, rule->words);
}

struct verdict_result verdict_judge(const struct verdict_event *event)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *rule = &rules[i];

		if (rule_matches(rule, event))
			return (struct verdict_result){rule->verdict, rule->kind, rule->name};
	}
	/* Only a code of 600 or more in a transaction comes here. */
	return (struct verdict_result){VERDICT_HOST, LANE_KIND_BANNER, "a reply that is not SMTP"};
}

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = {"ok",   "host",   "connection limit", "rate",      "pressure",
					    "busy", "domain", "refused",	  "recipient", "message",
					    "us",   "later",  "unknown"};

	check((unsigned)verdict < sizeof(names) / sizeof(names[0]));
	return names[verdict];
}

const char *lane_kind_name(enum lane_kind kind)
{
	static const char *const names[] = {"",	   "refused", "timeout", "reset", "421",   "4xx",
					    "452", "rate",    "dns",	 "tls",	  "banner"};

	check((unsigned)kind < sizeof(names) / sizeof(names[0]));
	return names[kind];
}
