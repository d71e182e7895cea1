/* A walk over all domains and lanes: sums, and who needs attention most. A slice of it in each turn of the
 * loop, so that fifty thousand lanes keep nobody waiting; requests that come together share one walk, and are
 * answered one in a turn.
 *
 * What fits into one slice is exact. Beyond, a sum may hold what was true at different turns of the loop.
 *
 * Part of relay_private.h.
 */
#ifndef RELAY_SURVEY_H
#define RELAY_SURVEY_H

#include "base/list.h"
#include "relay/admin.h"
#include "relay/timer.h"

struct domain;
struct feed;

enum {
	SURVEY_SLICE = 1000, /* domains or lanes that are looked at in one turn: about a millisecond */
	SURVEY_WORST = 200,  /* lanes, and domains, that are remembered: more than anybody reads */
};

struct survey_sums {   /* of the domains of one lane, or of those without one */
	uint32_t walk; /* that counted them */
	uint32_t domains, troubled;
	int64_t since_ms; /* the earliest */
	struct store_counts held;
};

struct survey_worst { /* the largest first; equal ones in the order in which they came */
	size_t count;
	struct {
		const void *who; /* NULL: it is gone */
		uint64_t score;
	} ranks[SURVEY_WORST];
};

struct survey_request; /* in admin_overview.c */

struct survey {
	struct timer timer;
	bool walking;
	uint32_t walk;			  /* number of the present or last one */
	const struct list *domain, *feed; /* to be looked at next; the head: none is left */
	struct admin_sums sums;
	struct survey_sums waiting; /* domains without a lane */
	struct survey_worst domains, feeds;
	struct list asked, served; /* requests: for the next walk, and of this one */
};

void survey_init(struct survey *survey);
/* request: its node in asked or served, to be removed by its owner. It is answered once a walk is over. */
void survey_ask(struct relay *relay, struct list *request);

/* They go. */
void survey_forget_domain(const struct domain *domain);
void survey_forget_feed(const struct feed *feed);

void survey_add_counts(struct store_counts *sum, const struct store_counts *more);

#endif
