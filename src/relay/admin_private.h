/* What the files of administration share: requests that are answered later.
 */
#ifndef RELAY_ADMIN_PRIVATE_H
#define RELAY_ADMIN_PRIVATE_H

#include "relay/admin.h"
#include "relay/domains.h"
#include "relay/relay_private.h"

struct admin_request {
	struct list in_relay;
	struct relay *relay;
	admin_done *done;
	void *owner;
	struct timer timer; /* to answer outside of the call */
	struct admin_result result;
	void (*release)(struct admin_request *request); /* frees what holds the request; NULL: free() of it */
};

/* Begins a request. It is answered exactly once by admin_request_finish. */
void admin_request_init(struct admin_request *request, struct relay *relay, admin_done *done, void *owner);
/* Tells the owner and frees the request. Not from inside the call that began it. */
void admin_request_finish(struct admin_request *request, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, from inside the call that began it: the owner is told in the next turn. */
void admin_request_finish_later(struct admin_request *request, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A plain request without further state, that is answered in the next turn. */
void admin_request_answer(struct relay *relay, admin_done *done, void *owner, int error, const char *format,
			  ...) __attribute__((format(printf, 5, 6)));
/* The domain; NULL: it was answered that it is not served, or not known yet. */
struct domain *admin_find_or_answer(struct relay *relay, struct slice name, admin_done *done, void *owner);
/* The relay goes: everybody who waits is told so. */
void admin_cancel_all(struct relay *relay);

/* Why a recipient waits and what comes next, for people. */
void admin_reason(const struct relay *relay, const struct store_entry *entry,
		  const struct store_recipient *recipient, char *ret_text, size_t size);
void admin_next_event(const struct relay *relay, const struct store_entry *entry,
		      const struct store_recipient *recipient, char *ret_text, size_t size);
/* Builds the view of one entry and gives it to message. ERR_MEMORY. */
nodiscard int admin_show_entry(const struct relay *relay, const struct store_entry *entry,
			       void (*message)(void *owner, const struct admin_message_view *view),
			       void *owner);

/* held: of all domains of the feed. */
void admin_show_lane(const struct feed *feed, const struct store_counts *held,
		     void (*lane)(void *owner, const struct admin_lane_view *view), void *owner);
void admin_show_domain(const struct domain *domain,
		       void (*show)(void *owner, const struct admin_domain_view *view), void *owner);
/* Of the domains without a lane. */
void admin_show_waiting(const struct store_counts *held, int64_t since_ms, uint32_t domain_count,
			void (*lane)(void *owner, const struct admin_lane_view *view), void *owner);
/* The request in its turn: shows, and finishes. */
struct survey_request;
void admin_overview_answer(struct survey_request *request);

/* "3 d 04 h", "5 min", "12 s". */
void admin_duration(int64_t ms, char ret_text[32]);

#endif
