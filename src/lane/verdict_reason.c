#include "lane/verdict_reason.h"

struct reason_text {
	const char *name, *words;
};

static const struct reason_text texts[REASON_END] = {
    [REASON_ACCEPTED] = {"accepted", "the server has taken it"},

    [REASON_CONNECTION_REFUSED] = {"connection-refused", "the server refuses connections or has no route"},
    [REASON_NO_ANSWER] = {"no-answer", "the server does not answer"},
    [REASON_CONNECTION_LOST] = {"connection-lost", "the server broke the connection"},
    [REASON_TLS_FAILED] = {"tls-failed", "TLS with the server failed"},
    [REASON_NOT_SMTP] = {"not-smtp", "what answers there does not speak SMTP"},
    [REASON_SERVICE_CLOSED] = {"service-closed", "the server says that it takes no mail now"},
    [REASON_SERVICE_REFUSED] = {"service-refused", "the server refuses the session"},
    [REASON_NO_MAIL_SERVICE] = {"no-mail-service", "the host says that it is no mail server"},
    [REASON_OURSELVES] = {"ourselves", "what answers there is this relay itself"},

    [REASON_TOO_MANY_CONNECTIONS] = {"too-many-connections",
				     "the server says that we have too many connections"},
    [REASON_TOO_FAST] = {"too-fast", "the server says that we send too fast"},
    [REASON_NO_SPACE] = {"no-space", "the server says that it has no space or memory"},
    [REASON_OVERLOADED] = {"overloaded", "the server says that it is busy"},
    [REASON_FILTER_DOWN] = {"filter-down", "the server says that its own mail filter does not work"},
    [REASON_SYSTEM_UNWELL] = {"system-unwell", "the server says that its mail system has an error"},

    [REASON_RELAY_DENIED] = {"relay-denied", "the server says that it does not take mail for this domain"},
    [REASON_DOMAIN_UNKNOWN] = {"domain-unknown", "the server says that it does not know this domain"},
    [REASON_DOMAIN_DISABLED] = {"domain-disabled",
				"the server says that this domain is disabled or being moved there"},

    [REASON_NO_SUCH_USER] = {"no-such-user", "the server says that there is no such mailbox"},
    [REASON_MAILBOX_FULL] = {"mailbox-full", "the server says that the mailbox is full"},
    [REASON_MAILBOX_THROTTLED] = {"mailbox-throttled",
				  "the server says that the mailbox gets too much mail at once"},
    [REASON_MAILBOX_DISABLED] = {"mailbox-disabled", "the server says that the mailbox is disabled"},
    [REASON_MAILBOX_MOVED] = {"mailbox-moved", "the server says that the mailbox has moved"},
    [REASON_GREYLISTED] = {"greylisted", "the server wants to be asked again later (greylisting)"},
    [REASON_RECIPIENT_CLOSED] = {"recipient-closed",
				 "the server says that this sender may not write to the recipient"},
    [REASON_RECIPIENT_UNVERIFIED] = {"recipient-unverified",
				     "the server could not find out whether the mailbox exists"},
    [REASON_RECIPIENT_UNWELL] = {"recipient-unwell",
				 "the server says that the recipient's mail system has an error"},
    [REASON_RECIPIENT_DEFERRED] = {"recipient-deferred", "the server does not take this recipient now"},
    [REASON_RECIPIENT_REFUSED] = {"recipient-refused", "the server refuses this recipient"},
    [REASON_ADDRESS_SYNTAX] = {"address-syntax", "the server says that the address is malformed"},

    [REASON_SENDER_REFUSED] = {"sender-refused", "the server refuses the sender"},
    [REASON_TOO_LARGE] = {"too-large", "the server says that the message is too large"},
    [REASON_SPAM] = {"spam", "the server takes the message for spam"},
    [REASON_VIRUS] = {"virus", "the server says that the message has a virus"},
    [REASON_ATTACHMENT] = {"attachment", "the server does not allow an attachment or link of the message"},
    [REASON_FORMAT] = {"format", "the server says that the message is malformed"},
    [REASON_LOOP] = {"loop", "the server says that the message runs in a loop"},
    [REASON_FEATURE] = {"feature", "the server lacks what the message needs"},
    [REASON_MESSAGE_DEFERRED] = {"message-deferred", "the server does not take this message now"},
    [REASON_MESSAGE_REFUSED] = {"message-refused", "the server refuses this message"},
    [REASON_UNREADABLE] = {"unreadable", "the stored message cannot be read"},

    [REASON_US_SPF] = {"us-spf", "the server checks SPF against this relay instead of the sender"},
    [REASON_US_DMARC] = {"us-dmarc", "the server does not trust a forwarded message (DMARC or DKIM)"},
    [REASON_US_BLOCK_LIST] = {"us-block-list", "the server found this relay's address on a block list"},
    [REASON_US_REPUTATION] = {"us-reputation", "the server holds this relay's reputation against it"},
    [REASON_US_REVERSE_DNS] = {"us-reverse-dns", "the server dislikes this relay's reverse DNS"},
    [REASON_US_HELO] = {"us-helo", "the server dislikes the name that this relay says in EHLO"},
    [REASON_US_LOGIN] = {"us-login", "the server wants this relay to log in"},
    [REASON_US_TLS] = {"us-tls", "the server wants TLS from this relay"},
    [REASON_US_ADDRESS] = {"us-address", "the server's access list refuses this relay's address"},
    [REASON_US_SPOOFING] = {"us-spoofing", "the server takes mail of its own users from outside for forged"},

    [REASON_TOO_MANY_RECIPIENTS] = {"too-many-recipients",
				    "the server takes fewer recipients in one transaction"},
    [REASON_SESSION_USED_UP] = {"session-used-up", "the server wants a new connection"},
    [REASON_NOT_TRIED] = {"not-tried", "it was not tried"},
    [REASON_OWN_SYSTEM] = {"own-system", "this relay's own system failed"},
    [REASON_SPLIT] = {"split", "refused as a whole: its recipients are tried one by one"},
    [REASON_CIRCLE] = {"circle", "the message goes in a circle between this relay and the server"},

    [REASON_NO_REPLY_TO_DOT] = {"no-reply-to-dot", "the server did not say whether it has taken the message"},
};

static const struct reason_text *text_of(enum verdict_reason reason)
{
	return (unsigned)reason < REASON_END ? &texts[reason] : &texts[REASON_NONE];
}

const char *verdict_reason_name(enum verdict_reason reason)
{
	const char *name = text_of(reason)->name;

	return name != NULL ? name : "";
}

const char *verdict_reason_words(enum verdict_reason reason)
{
	const char *words = text_of(reason)->words;

	return words != NULL ? words : "";
}

enum verdict_reason verdict_reason_by_name(struct slice name)
{
	for (int i = 0; i < REASON_END; i++) {
		if (texts[i].name != NULL && slice_equal(name, slice_of(texts[i].name)))
			return (enum verdict_reason)i;
	}
	return REASON_NONE;
}
