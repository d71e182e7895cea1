#include "relay/survey.h"

#include <string.h>

#include "relay/admin_private.h"
#include "relay/feed.h"

void survey_add_counts(struct store_counts *sum, const struct store_counts *more)
{
	sum->messages += more->messages;
	sum->bytes += more->bytes;
	sum->recipients += more->recipients;
	if (more->oldest_ms != 0 && (sum->oldest_ms == 0 || more->oldest_ms < sum->oldest_ms))
		sum->oldest_ms = more->oldest_ms;
}

/* --- who is worst --- */

/* What is wrong comes first, then how much mail it is about. 0: nothing to say. */
static uint64_t score_of(uint64_t wrong, uint64_t messages)
{
	const uint64_t most = (UINT64_C(1) << 48) - 1;

	return wrong << 48 | (messages < most ? messages : most);
}

static void rank(struct survey_worst *worst, const void *who, uint64_t score)
{
	size_t place = worst->count;

	if (score == 0 || (place == SURVEY_WORST && worst->ranks[place - 1].score >= score))
		return;
	if (place < SURVEY_WORST)
		worst->count++;
	else
		place--;
	for (; place > 0 && worst->ranks[place - 1].score < score; place--)
		worst->ranks[place] = worst->ranks[place - 1];
	worst->ranks[place].who = who;
	worst->ranks[place].score = score;
}

static uint64_t domain_score(const struct domain *domain, uint64_t held)
{
	static const uint64_t wrong[] = {
	    [DOMAIN_OPEN] = 0, [DOMAIN_PAUSED] = 1, [DOMAIN_WAITING] = 2, [DOMAIN_REFUSING] = 3};

	return score_of(domain->share_used_up ? 3 : wrong[domain->flow.state], held);
}

static uint64_t feed_score(const struct feed *feed)
{
	bool down = feed->lane.state == LANE_DOWN;
	uint64_t held = feed->seen.held.messages;

	if (down && held > 0)
		return score_of(3, held);
	return score_of(feed->seen.troubled > 0 ? 2 : down, held);
}

/* --- looking --- */

static void count_domain(struct survey *survey, struct survey_sums *sums, const struct domain *domain,
			 const struct store_counts *held)
{
	if (sums->walk != survey->walk)
		*sums = (struct survey_sums){.walk = survey->walk};
	sums->domains++;
	sums->troubled += domain->flow.state != DOMAIN_OPEN || domain->share_used_up;
	if (sums->since_ms == 0 || domain->flow.since_wall_ms < sums->since_ms)
		sums->since_ms = domain->flow.since_wall_ms;
	survey_add_counts(&sums->held, held);
}

static void look_at_domain(struct survey *survey, const struct domain *domain)
{
	struct store *store = domain->relay->ports.store;
	struct store_counts held;

	store->ops->count(store, domain->number, &held);
	survey->sums.domains++;
	survey->sums.domains_in[domain->flow.state]++;
	survey->sums.domains_share_used_up += domain->share_used_up;
	count_domain(survey, domain->feed != NULL ? &domain->feed->seen : &survey->waiting, domain, &held);
	rank(&survey->domains, domain, domain_score(domain, held.messages));
}

static void look_at_feed(struct survey *survey, struct feed *feed)
{
	struct admin_sums *sums = &survey->sums;
	struct lane_view view;

	if (feed->served_count == 0) /* mail of our own goes there: no customer's server */
		return;
	if (feed->seen.walk != survey->walk)
		feed->seen = (struct survey_sums){.walk = survey->walk};
	lane_view(&feed->lane, feed->relay->now.now_us, &view);
	sums->lanes++;
	sums->rate_per_s += view.rate_per_s;
	if (view.state == LANE_DOWN) {
		sums->lanes_down++;
		sums->lanes_down_by[view.kind]++;
		sums->held_by_down += feed->seen.held.messages;
	} else if (feed->seen.held.messages == 0 && view.in_flight == 0) {
		sums->lanes_idle++;
	} else {
		sums->lanes_up++;
	}
	sums->lanes_in_need += view.state == LANE_DOWN || feed->seen.troubled > 0;
	rank(&survey->feeds, feed, feed_score(feed));
}

/* --- the walk --- */

static void begin(struct relay *relay)
{
	struct survey *survey = &relay->survey;
	struct list *node;

	survey->walking = true;
	survey->walk++;
	survey->domain = relay->domains_by_name.next;
	survey->feed = relay->feeds_by_name.next;
	survey->sums = (struct admin_sums){.lanes = 0};
	survey->waiting = (struct survey_sums){.walk = survey->walk};
	survey->domains.count = survey->feeds.count = 0;
	while ((node = list_first(&survey->asked)) != NULL) {
		list_remove(node);
		list_add_last(&survey->served, node);
	}
}

static void look_on(struct relay *relay)
{
	struct survey *survey = &relay->survey;
	uint32_t looks = 0;

	for (; looks < SURVEY_SLICE && survey->domain != &relay->domains_by_name; looks++) {
		const struct list *node = survey->domain;
		survey->domain = node->next;
		look_at_domain(survey, container_of(node, struct domain, by_name));
	}
	for (; looks < SURVEY_SLICE && survey->feed != &relay->feeds_by_name; looks++) {
		const struct list *node = survey->feed;
		survey->feed = node->next;
		look_at_feed(survey, container_of(node, struct feed, by_name));
	}
	survey->walking = looks == SURVEY_SLICE;
}

static void timer_fired(struct timer *timer)
{
	struct relay *relay = container_of(timer, struct relay, survey.timer);
	struct survey *survey = &relay->survey;
	struct list *first;

	if (list_empty(&survey->served))
		begin(relay);
	if (survey->walking)
		look_on(relay);
	if (!survey->walking && (first = list_first(&survey->served)) != NULL)
		admin_overview_answer((struct survey_request *)(void *)first);
	if (!list_empty(&survey->served) || !list_empty(&survey->asked))
		timer_set(&relay->timers, timer, relay->now.now_us);
}

void survey_init(struct survey *survey)
{
	survey->timer.fire = timer_fired;
	list_init(&survey->asked);
	list_init(&survey->served);
}

void survey_ask(struct relay *relay, struct list *request)
{
	struct survey *survey = &relay->survey;

	list_add_last(&survey->asked, request);
	if (list_empty(&survey->served))
		timer_set(&relay->timers, &survey->timer, relay->now.now_us);
}

/* --- those that go --- */

static void forget(struct survey_worst *worst, const void *who)
{
	for (size_t i = 0; i < worst->count; i++)
		if (worst->ranks[i].who == who)
			worst->ranks[i].who = NULL;
}

void survey_forget_domain(const struct domain *domain)
{
	struct survey *survey = &domain->relay->survey;

	if (survey->domain == &domain->by_name)
		survey->domain = domain->by_name.next;
	forget(&survey->domains, domain);
}

void survey_forget_feed(const struct feed *feed)
{
	struct survey *survey = &feed->relay->survey;

	if (survey->feed == &feed->by_name)
		survey->feed = feed->by_name.next;
	forget(&survey->feeds, feed);
}
