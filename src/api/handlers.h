/* The handlers that the routes name, by file.
 */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "api/request.h"

/* status.c */
request_handler handle_status, handle_domains, handle_domain_show;
/* domains.c */
request_handler handle_domain_add, handle_domain_set, handle_domain_remove;
request_handler handle_hold, handle_resume, handle_probe, handle_trust;
/* domains_bulk.c */
request_handler handle_domains_add;
/* recipients.c */
request_handler handle_recipients, handle_pin, handle_unpin, handle_import;
/* messages.c */
request_handler handle_queue, handle_trace;
request_handler handle_message_show, handle_message_release, handle_message_remove;
/* backup.c */
request_handler handle_backup, handle_backup_renew, handle_backup_end;
/* content.c */
request_handler handle_message_content;
/* metrics.c */
request_handler handle_metrics;
/* api.c */
request_handler handle_health;

/* content.c: the response that takes from the request's body while it is filled. NULL: no memory. */
struct MHD_Response *content_response(struct request *request);

/* status.c: shared by answers that speak of one domain. Writes the domain as an object; false when it is not
 * served. */
bool write_domain(struct request *request, const char *key, struct slice name);

/* domains.c: bodies. Each false was answered with 400. */
bool bad_body(struct request *request, const char *what); /* always false */
/* The body as a JSON object; an empty body is an empty object. *ret_object is the caller's. */
bool parse_body(struct request *request, json_t **ret_object);
/* known: names between blanks, " to hold ". */
bool only_members(struct request *request, json_t *object, const char *known);
/* The hosts of "to" (NULL: none). The slices point into the list. False: it was answered with 400. */
bool take_hosts(struct request *request, json_t *list, struct slice hosts[RELAY_HOSTS_MAX],
		size_t *ret_count);

/* messages.c: parses the subject as a message id. False: it was answered with 400. */
bool subject_id(struct request *request, uint64_t *ret_id);

#endif
