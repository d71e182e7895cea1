/* What is known of each recipient, and of a domain as a whole. Pure: the owner keeps the records in the
 * store.
 *
 * An entry is a pair of the store: the key "ledger/DOMAIN/ADDRESS", both in lower case (servers that tell
 * "Joe" from "joe" are not known; an address that differs only in case is the same recipient here), the value
 * as written by ledger_encode.
 *
 * Ages are counted in the domain's *time of service*: milliseconds that its server was up and not suspected,
 * as counted by ledger_serve. So nobody is forgotten during an outage, however long; a machine that was
 * switched off, or a clock that jumped, ages nobody either.
 */
#ifndef LANE_LEDGER_H
#define LANE_LEDGER_H

#include "base/buffer.h"

enum {
	LEDGER_LOCAL_MAX =
	    64, /* bytes of a local part (RFC 5321 §4.5.3.1.1); longer ones are not remembered */
	LEDGER_KEY_MAX = 255, /* what stores take as a key; longer ones are not remembered either */
	LEDGER_RECENT = 6,    /* known recipients for a check: three, and some that may have been refused */
};

/* where the first word about a recipient came from */
enum ledger_source {
	LEDGER_DELIVERY = 0, /* the server took mail for it */
	LEDGER_CALLOUT = 1,  /* the server took its RCPT when asked */
	LEDGER_LIST = 2,     /* named by command or API */
	LEDGER_CSV = 3,	     /* imported */
};

const char *ledger_source_name(enum ledger_source source); /* "delivery", "callout", "list", "csv" */

enum ledger_standing {
	LEDGER_UNSEEN = 0,  /* nothing is known, or it is too old */
	LEDGER_REFUSED = 1, /* refused lately, never accepted */
	LEDGER_LISTED = 2,  /* somebody says that it exists; the server has not shown it yet */
	LEDGER_SEEN = 3,    /* accepted in the last 90 days */
	LEDGER_GOOD = 4,    /* accepted in the last 14 days, or pinned: its refusal is full evidence */
};

const char *ledger_standing_name(enum ledger_standing standing); /* "unseen", "refused", ... */

struct ledger_entry {
	enum ledger_source source;
	bool pinned;	       /* known-good until unpinned, whatever happens */
	bool departed;	       /* refused while others were accepted: no evidence until accepted again */
	int64_t first_good_ms; /* wall clock, for people; 0: never accepted */
	int64_t last_good_ms;
	int64_t last_refused_ms; /* 0: never refused */
	int64_t good_service_ms; /* last accepted; time of service, as all below */
	int64_t refused_service_ms;
	uint32_t good_count;
	uint32_t refused_count;	    /* all, since it was last accepted */
	uint32_t counted;	    /* of them those that count (refusal_advice.counted) */
	int64_t counted_service_ms; /* the first of those */
};

/* Does the server tell its recipients from others? Known from a callout to an address nobody has. */
enum ledger_catch_all {
	LEDGER_ASK = 0,	      /* not known, or too old: ask */
	LEDGER_TELLS = 1,     /* a made-up address was refused */
	LEDGER_TAKES_ALL = 2, /* accepted: a catch-all mailbox, or a server that looks no one up */
};

struct ledger_recent {
	char local[LEDGER_LOCAL_MAX + 1]; /* "": free */
	int64_t good_service_ms;
};

/* One for each domain. */
struct ledger_domain {
	int64_t service_ms;
	enum ledger_catch_all catch_all;
	int64_t catch_all_service_ms; /* when it was asked */
	bool told_once;		      /* it was seen to refuse a made-up address */
	bool null_sender;	      /* it took a message with the null reverse-path */
	uint32_t recent_count;
	struct ledger_recent recent[LEDGER_RECENT]; /* accepted last, latest first */
};

/* --- domain --- */

void ledger_domain_init(struct ledger_domain *domain);
/* So much monotonic time has passed in which the server was up, and neither in doubt nor holding. */
void ledger_serve(struct ledger_domain *domain, int64_t elapsed_ms);
/* What a callout to a made-up address said. Returns true when a server that told its recipients apart takes
 * everybody now: it may have been reinstalled empty ("back, but not itself", RECOVERY §1.7.7): alarm. */
bool ledger_made_up(struct ledger_domain *domain, bool accepted);
/* The server may be another one now (its banner, certificate or MX changed): ask again. */
void ledger_domain_changed(struct ledger_domain *domain);
/* What is to be taken for it now; an old answer is LEDGER_ASK, but one of "takes all" counts while the server
 * cannot be asked (up false). */
enum ledger_catch_all ledger_catch_all(const struct ledger_domain *domain, bool up);
/* A known recipient for a check: place 0 is the one accepted last. Empty: no more. Into the domain. */
struct slice ledger_recent(const struct ledger_domain *domain, uint32_t place);

/* --- entries --- */

/* A recipient that nothing is known of. */
struct ledger_entry ledger_entry(enum ledger_source source);
/* The server accepted it, by delivery or callout. Is it worth an entry? false: the server takes everybody, so
 * it proves nothing, and strangers could fill the ledger; what exists already is brought up to date. */
bool ledger_worth(const struct ledger_domain *domain, bool exists);
void ledger_accepted(struct ledger_entry *entry, struct ledger_domain *domain, struct slice local,
		     int64_t wall_ms);
/* It was refused with a 5yz about the address. counted: as the hold detector says. */
void ledger_was_refused(struct ledger_entry *entry, const struct ledger_domain *domain, bool counted,
			int64_t wall_ms);
/* Somebody vouches for it. pinned: and for good; else it is only listed. */
void ledger_vouch(struct ledger_entry *entry, enum ledger_source source, bool pinned);
/* Nobody does any more: what the server showed counts alone. False: it showed nothing, remove the pair. */
nodiscard bool ledger_unvouch(struct ledger_entry *entry);
/* The hold detector says that it has left. */
void ledger_depart(struct ledger_entry *entry, struct ledger_domain *domain, struct slice local);
enum ledger_standing ledger_standing(const struct ledger_entry *entry, const struct ledger_domain *domain);
/* Refused by a proven server so short a time ago that nobody need be asked again (5 min). */
bool ledger_refused_now(const struct ledger_entry *entry, const struct ledger_domain *domain);
/* Must it be written, after it was brought up to date? Not for each delivery: when it says something new, or
 * once in a day of service. before: as it was read or written last; NULL: there was none. */
bool ledger_must_write(const struct ledger_entry *before, const struct ledger_entry *entry);
/* Nothing in it matters any more: remove the pair. Never for pinned and listed ones. */
bool ledger_is_stale(const struct ledger_entry *entry, const struct ledger_domain *domain);

/* --- records --- */

/* ERR_LIMIT: the address is too long to be remembered. ERR_SYNTAX: a part is empty, the domain has a slash,
 * the local part a NUL. */
nodiscard int ledger_key(struct slice domain, struct slice local, char ret_key[LEDGER_KEY_MAX],
			 size_t *ret_size);
/* The local part within a key that ledger_key made for this domain; empty: it is no such key. */
struct slice ledger_key_local(struct slice key, struct slice domain);
/* save: ERR_MEMORY, ERR_LIMIT. load: ERR_CORRUPT, ERR_VERSION; nothing is changed then. */
nodiscard int ledger_encode(const struct ledger_entry *entry, struct buffer *to);
nodiscard int ledger_decode(struct slice from, struct ledger_entry *ret_entry);
nodiscard int ledger_domain_save(const struct ledger_domain *domain, struct buffer *to);
nodiscard int ledger_domain_load(struct ledger_domain *domain, struct slice from);

#endif
