#include "relay/trust.h"

#include "relay/known.h"

bool trust_is_proven(const struct domain *domain)
{
	return domain->known != NULL && refusal_is_proven(&domain->known->refusal, domain->relay->now.now_us);
}

bool trust_in_grace(const struct domain *domain)
{
	return domain->known == NULL || refusal_in_grace(&domain->known->refusal, domain->relay->now.now_us);
}

bool trust_holds(const struct domain *domain)
{
	return domain->known != NULL && domain->known->refusal.state == REFUSAL_HOLDING;
}

bool trust_doubts(const struct domain *domain)
{
	return domain->known != NULL && domain->known->refusal.state == REFUSAL_DOUBT;
}

void trust_want_proof(struct domain *domain)
{
	struct known *known = known_of(domain);

	if (known == NULL)
		return;
	refusal_want_proof(&known->refusal, domain->relay->now.now_us);
	domain_wake(domain);
}
