#include "lane/mailbox.h"

#include "lane/tuning.h"

bool mailbox_permits(const struct mailbox_rest *m, int64_t now_us)
{
	return now_us >= m->next_us && (m->window == 0 || m->in_flight < m->window);
}

void mailbox_sent(struct mailbox_rest *m)
{
	m->in_flight++;
}

void mailbox_returned(struct mailbox_rest *m)
{
	if (m->in_flight > 0)
		m->in_flight--;
}

static int64_t pause_us(uint32_t failures)
{
	uint32_t doublings = failures < MAILBOX_DOUBLINGS ? failures : MAILBOX_DOUBLINGS;
	int64_t pause = MAILBOX_FIRST_US << doublings;

	return pause < MAILBOX_LAST_US ? pause : MAILBOX_LAST_US;
}

static bool is_throttled(const struct mailbox_rest *m, int64_t now_us)
{
	return m->accepted_us != 0 && now_us - m->accepted_us < MAILBOX_THROTTLE_US;
}

void mailbox_deferred(struct mailbox_rest *m, int64_t service_ms, int64_t now_us)
{
	if (now_us < m->next_us && m->waits) /* others that were on their way: one trouble */
		return;
	if (!m->waits)
		m->since_service_ms = service_ms;
	m->waits = true;
	if (is_throttled(m, now_us)) {
		uint32_t window = m->window > 0 ? m->window : m->in_flight;
		m->window = window > 1 ? window / 2 : 1;
		m->next_us = now_us + MAILBOX_THROTTLE_PAUSE_US;
		return;
	}
	m->window = 1;
	m->next_us = now_us + pause_us(m->failures);
	m->failures++;
}

/* It grows with what it takes, like any window. */
void mailbox_accepted(struct mailbox_rest *m, int64_t now_us)
{
	m->waits = false;
	m->failures = 0;
	m->next_us = 0;
	m->accepted_us = now_us;
	if (m->window > 0)
		m->window++;
	if (m->window > MAILBOX_WINDOW_MAX)
		m->window = 0;
}

bool mailbox_is_well(const struct mailbox_rest *m)
{
	return !m->waits && m->window == 0 && m->in_flight == 0;
}

bool mailbox_is_visible(const struct mailbox_rest *m, int64_t service_ms)
{
	return m->waits && service_ms - m->since_service_ms >= MAILBOX_VISIBLE_MS;
}

bool mailbox_is_over(const struct mailbox_rest *m, int64_t first_deferred_service_ms, int64_t service_ms)
{
	int64_t from_ms =
	    m->since_service_ms > first_deferred_service_ms ? m->since_service_ms : first_deferred_service_ms;

	return m->waits && service_ms - from_ms >= MAILBOX_OVER_MS;
}

bool poison_is(uint32_t failures)
{
	return failures >= POISON_AFTER;
}

bool poison_permits(const struct poison_share *share, bool idle)
{
	return share->in_flight == 0 && (idle || share->credit >= 1);
}

void poison_sent(struct poison_share *share)
{
	share->in_flight++;
	share->credit = share->credit >= 1 ? share->credit - 1 : 0;
}

void poison_returned(struct poison_share *share)
{
	if (share->in_flight > 0)
		share->in_flight--;
}

void poison_other_sent(struct poison_share *share)
{
	share->credit += POISON_SHARE;
	if (share->credit > POISON_CREDIT_MAX)
		share->credit = POISON_CREDIT_MAX;
}

void split_refused(struct split *split, int64_t now_us)
{
	bool again = split->times > 0 && now_us >= split->until_us;

	if (split->times == 0 || again)
		split->times++;
	uint32_t doublings = split->times - 1 < SPLIT_DOUBLINGS ? split->times - 1 : SPLIT_DOUBLINGS;
	split->until_us = now_us + (SPLIT_US << doublings);
}

bool split_single(const struct split *split, int64_t now_us)
{
	return split->times > 0 && now_us < split->until_us;
}
