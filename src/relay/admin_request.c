#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "relay/admin_private.h"

static void tell_and_free(struct admin_request *request)
{
	struct relay *relay = request->relay;

	timer_clear(&relay->timers, &request->timer);
	list_remove(&request->in_relay);
	request->done(request->owner, &request->result);
	if (request->release != NULL)
		request->release(request);
	else
		free(request);
}

static void timer_fired(struct timer *timer)
{
	tell_and_free(container_of(timer, struct admin_request, timer));
}

void admin_request_init(struct admin_request *request, struct relay *relay, admin_done *done, void *owner)
{
	request->relay = relay;
	request->done = done;
	request->owner = owner;
	request->timer.fire = timer_fired;
	list_add_last(&relay->admin_requests, &request->in_relay);
}

static void set_result(struct admin_request *request, int error, const char *format, va_list arguments)
{
	request->result.error = error;
	(void)vsnprintf(request->result.message, sizeof(request->result.message), format, arguments);
}

void admin_request_finish(struct admin_request *request, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	set_result(request, error, format, arguments);
	va_end(arguments);
	tell_and_free(request);
}

static void finish_in_next_turn(struct admin_request *request)
{
	timer_set(&request->relay->timers, &request->timer, request->relay->now.now_us);
}

void admin_request_finish_later(struct admin_request *request, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	set_result(request, error, format, arguments);
	va_end(arguments);
	finish_in_next_turn(request);
}

void admin_request_answer(struct relay *relay, admin_done *done, void *owner, int error, const char *format,
			  ...)
{
	struct admin_request *request = calloc(1, sizeof(*request));
	va_list arguments;

	if (request == NULL) {
		/* The one case in which the owner hears of it inside the call: there is nothing to remember
		 * it with. */
		struct admin_result result = {.error = ERR_MEMORY, .message = "out of memory"};
		done(owner, &result);
		return;
	}
	admin_request_init(request, relay, done, owner);
	va_start(arguments, format);
	set_result(request, error, format, arguments);
	va_end(arguments);
	finish_in_next_turn(request);
}

void admin_cancel_all(struct relay *relay)
{
	list_each_safe(node, after, &relay->admin_requests) {
		struct admin_request *request = container_of(node, struct admin_request, in_relay);
		if (!request->timer.node.queued) {
			request->result.error = ERR_STATE;
			(void)snprintf(request->result.message, sizeof(request->result.message),
				       "restante is going down");
		}
		tell_and_free(request);
	}
}

void admin_duration(int64_t ms, char ret_text[32])
{
	int64_t s = ms / 1000;

	if (s < 0)
		s = 0;
	if (s < 120)
		(void)snprintf(ret_text, 32, "%lld s", (long long)s);
	else if (s < 2 * 3600)
		(void)snprintf(ret_text, 32, "%lld min", (long long)(s / 60));
	else if (s < 2 * 86400)
		(void)snprintf(ret_text, 32, "%lld h %02lld min", (long long)(s / 3600),
			       (long long)(s % 3600 / 60));
	else
		(void)snprintf(ret_text, 32, "%lld d %02lld h", (long long)(s / 86400),
			       (long long)(s % 86400 / 3600));
}
