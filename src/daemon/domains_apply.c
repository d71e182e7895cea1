#include "daemon/domains_apply.h"

#include <ctype.h>
#include <string.h>

static void begin(struct domains_apply *apply);

static void next(struct domains_apply *apply)
{
	apply->next = apply->next->next;
	begin(apply);
}

static void tell(struct domains_apply *apply, const struct admin_result *result)
{
	log_event(apply->log, result->error == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_ALARM, "domain", 0,
		  result->message, LOG_TEXT("domain", slice_of(apply->next->name)));
}

static void changed(void *owner, const struct admin_result *result)
{
	struct domains_apply *apply = owner;
	if (apply->next == NULL)
		return; /* given up */
	tell(apply, result);
	next(apply);
}

/* --- does the destination differ? --- */

static const char *skip_blanks(const char *s)
{
	while (*s == ' ')
		s++;
	return s;
}

/* Equal but for case and blanks. */
static bool same_hosts(const char *a, const char *b)
{
	for (;;) {
		a = skip_blanks(a);
		b = skip_blanks(b);
		if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
			return false;
		if (*a == '\0')
			return true;
		a++;
		b++;
	}
}

struct comparison {
	const struct config_domain *domain;
	bool same;
};

static void compare(void *owner, const struct admin_domain_view *view)
{
	struct comparison *comparison = owner;
	if (strcasecmp(view->name, comparison->domain->name) == 0)
		comparison->same = same_hosts(view->destination, comparison->domain->hosts);
}

static bool differs(struct domains_apply *apply)
{
	struct comparison comparison = {.domain = apply->next};
	if (apply->next->hosts == NULL)
		return false; /* served already, wherever its mail goes */
	return admin_status(apply->relay, slice_of(apply->next->name), NULL, compare, &comparison) &&
	       !comparison.same;
}

/* --- adding --- */

static void added(void *owner, const struct admin_result *result)
{
	struct domains_apply *apply = owner;
	if (apply->next == NULL)
		return; /* given up */
	if (result->error != ERR_EXISTS)
		tell(apply, result);
	if (result->error == ERR_EXISTS && differs(apply))
		admin_domain_set(apply->relay, slice_of(apply->next->name), SLICE("to"),
				 slice_of(apply->next->hosts), changed, apply);
	else
		next(apply);
}

static void begin(struct domains_apply *apply)
{
	struct slice hosts[RELAY_HOSTS_MAX];
	size_t count = 0;
	if (apply->next == NULL)
		return;
	struct slice rest = slice_of(apply->next->hosts), host;
	while (count < RELAY_HOSTS_MAX && slice_split(&rest, ',', &host))
		hosts[count++] = slice_trim(host);
	admin_domain_add(apply->relay, slice_of(apply->next->name), hosts, count, added, apply);
}

void domains_apply_start(struct domains_apply *apply, struct relay *relay, struct log *log,
			 const struct config_domain *first)
{
	*apply = (struct domains_apply){.relay = relay, .log = log, .next = first};
	begin(apply);
}
