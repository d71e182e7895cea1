/* The status of many lanes, and the list of domains. */
#include <stdlib.h>
#include <string.h>

#include "relay/admin_private.h"
#include "relay/feed.h"

struct survey_request {
	struct list in_survey; /* first */
	struct admin_request request;
	bool by_attention;
	size_t rows, shown;
	size_t domain_size;
	char domain[RELAY_DOMAIN_NAME_MAX];
	size_t after_size;
	char after[FEED_NAME_MAX];
	void (*lane)(void *owner, const struct admin_lane_view *view);
	void (*show)(void *owner, const struct admin_domain_view *view);
	void (*end)(void *owner, const struct admin_sums *sums, const char *next);
};

/* --- showing --- */

static bool among(const struct survey_worst *domains, size_t i, const struct feed *feed)
{
	const struct domain *domain = domains->ranks[i].who;

	return domain != NULL && domain->feed == feed;
}

/* Of a lane of thousands, or of those that wait for one (feed NULL): the worst. */
static void show_worst_domains(struct survey_request *r, const struct feed *feed)
{
	const struct survey_worst *worst = &r->request.relay->survey.domains;
	size_t shown = 0;

	for (size_t i = 0; i < worst->count && shown < ADMIN_LANE_DOMAINS; i++) {
		if (!among(worst, i, feed))
			continue;
		admin_show_domain(worst->ranks[i].who, r->show, r->request.owner);
		shown++;
	}
	r->shown += shown;
}

static void show_feed(struct survey_request *r, const struct feed *feed)
{
	admin_show_lane(feed, &feed->seen.held, r->lane, r->request.owner);
	r->shown++;
	if (feed->served_count > ADMIN_LANE_DOMAINS) {
		show_worst_domains(r, feed);
		return;
	}
	list_each(node, &feed->domains) {
		const struct domain *domain = container_of(node, struct domain, in_feed);
		if (domain->outside != NULL)
			continue;
		admin_show_domain(domain, r->show, r->request.owner);
		r->shown++;
	}
}

static void show_waiting(struct survey_request *r)
{
	const struct survey_sums *waiting = &r->request.relay->survey.waiting;

	if (waiting->domains == 0)
		return;
	admin_show_waiting(&waiting->held, waiting->since_ms, waiting->domains, r->lane, r->request.owner);
	show_worst_domains(r, NULL);
}

/* Returns where to go on; "" at the end. */
static const char *show_by_name(struct survey_request *r)
{
	const struct relay *relay = r->request.relay;
	const struct feed *feed = NULL;
	struct tree_node *node = tree_after(&relay->feed_names, slice_make(r->after, r->after_size));

	for (; node != NULL && r->shown < r->rows; node = tree_after(&relay->feed_names, node->key)) {
		feed = container_of(node, struct feed, name_order);
		if (feed->served_count > 0)
			show_feed(r, feed);
	}
	if (node != NULL && feed != NULL)
		return feed->name;
	show_waiting(r);
	return "";
}

static void show_by_attention(struct survey_request *r)
{
	const struct survey_worst *feeds = &r->request.relay->survey.feeds;

	show_waiting(r);
	for (size_t i = 0; i < feeds->count && r->shown < r->rows; i++)
		if (feeds->ranks[i].who != NULL)
			show_feed(r, feeds->ranks[i].who);
}

static bool all_fit(const struct survey_request *r)
{
	const struct relay *relay = r->request.relay;

	return r->after_size == 0 && relay->domains.count + relay->feeds.count < r->rows;
}

/* False: it is not served. */
static bool show_one(struct survey_request *r)
{
	struct relay *relay = r->request.relay;
	struct domain *domain = domain_find(relay, slice_make(r->domain, r->domain_size));
	const struct survey_sums *waiting = &relay->survey.waiting;

	if (domain == NULL)
		return false;
	if (domain->feed != NULL)
		admin_show_lane(domain->feed, &domain->feed->seen.held, r->lane, r->request.owner);
	else
		admin_show_waiting(&waiting->held, waiting->since_ms, waiting->domains, r->lane,
				   r->request.owner);
	admin_show_domain(domain, r->show, r->request.owner);
	return true;
}

/* --- asking --- */

static void release(struct admin_request *request)
{
	struct survey_request *r = container_of(request, struct survey_request, request);

	list_remove(&r->in_survey);
	free(r);
}

void admin_overview_answer(struct survey_request *r)
{
	struct relay *relay = r->request.relay;
	const char *next = "";

	if (r->domain_size > 0) {
		if (!show_one(r)) {
			admin_request_finish(&r->request, ERR_MISSING, "%.*s is not served here",
					     (int)r->domain_size, r->domain);
			return;
		}
	} else if (all_fit(r)) {
		(void)admin_status(relay, SLICE(""), r->lane, r->show, r->request.owner);
	} else if (r->by_attention) {
		show_by_attention(r);
	} else {
		next = show_by_name(r);
	}
	r->end(r->request.owner, &relay->survey.sums, next);
	admin_request_finish(&r->request, 0, "%s", "");
}

static size_t copy(char *to, size_t room, struct slice from)
{
	size_t size = from.size < room ? from.size : room;

	if (size > 0)
		memcpy(to, from.data, size);
	return size;
}

void admin_overview(struct relay *relay, const struct admin_overview_filter *filter,
		    void (*lane)(void *owner, const struct admin_lane_view *view),
		    void (*domain)(void *owner, const struct admin_domain_view *view),
		    void (*end)(void *owner, const struct admin_sums *sums, const char *next),
		    admin_done *done, void *owner)
{
	relay_enter(relay);
	struct survey_request *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		admin_request_answer(relay, done, owner, ERR_MEMORY, "out of memory");
		return;
	}
	r->by_attention = filter->by_attention;
	r->rows = filter->rows < ADMIN_ROWS_MAX ? filter->rows : ADMIN_ROWS_MAX;
	r->domain_size = copy(r->domain, sizeof(r->domain), filter->domain);
	r->after_size = copy(r->after, sizeof(r->after), filter->after);
	r->lane = lane;
	r->show = domain;
	r->end = end;
	admin_request_init(&r->request, relay, done, owner);
	r->request.release = release;
	survey_ask(relay, &r->in_survey);
}

bool admin_domains(const struct relay *relay, struct slice after, size_t max,
		   void (*domain)(void *owner, const struct admin_domain_view *view), void *owner)
{
	struct tree_node *node = tree_after(&relay->domain_names, after);

	for (size_t i = 0; i < max && node != NULL; i++) {
		admin_show_domain(container_of(node, struct domain, name_order), domain, owner);
		node = tree_after(&relay->domain_names, node->key);
	}
	return node != NULL;
}
