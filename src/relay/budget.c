#include "relay/budget.h"

#include "relay/feed.h"

static bool take_turn(struct budget *budget)
{
	int64_t now_us = budget->relay->now.now_us;

	if (budget->next_us < now_us - budget->burst_us)
		budget->next_us = now_us - budget->burst_us;
	if (budget->next_us > now_us)
		return false;
	budget->next_us += budget->interval_us;
	return true;
}

static void set_timer(struct budget *budget)
{
	timer_set(&budget->relay->timers, &budget->timer,
		  list_empty(&budget->waiting) ? CLOCK_NEVER : budget->next_us);
}

static void timer_fired(struct timer *timer)
{
	struct budget *budget = container_of(timer, struct budget, timer);

	while (!list_empty(&budget->waiting) && take_turn(budget)) {
		struct feed *feed = container_of(list_first(&budget->waiting), struct feed, in_budget);
		list_remove(&feed->in_budget);
		feed->granted = budget;
		feed_wake(feed);
	}
	set_timer(budget);
}

void budget_init(struct budget *budget, struct relay *relay, int64_t per_s, int64_t burst)
{
	*budget = (struct budget){.relay = relay, .interval_us = CLOCK_SECONDS(1) / per_s};
	budget->burst_us = burst * budget->interval_us;
	budget->next_us = relay->now.now_us - budget->burst_us;
	budget->timer.fire = timer_fired;
	list_init(&budget->waiting);
}

bool budget_ask(struct budget *budget, struct feed *feed)
{
	if (feed->granted == budget)
		return true;
	if (list_linked(&feed->in_budget))
		return false;
	if (list_empty(&budget->waiting) && take_turn(budget)) {
		feed->granted = budget;
		return true;
	}
	list_add_last(&budget->waiting, &feed->in_budget);
	set_timer(budget);
	return false;
}

void budget_forget(struct feed *feed)
{
	list_remove(&feed->in_budget);
	feed->granted = NULL;
}
