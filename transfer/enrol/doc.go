// Package enrol is an enrolment: how a kiosk and a gate come to trust each other
// through files on a drive. Three documents travel,
//
//	kiosk  request    who I am: endorsement key, sealing key, counter
//	gate   challenge  a secret that only this TPM can open, and my key set
//	kiosk  answer     the secret's proof, and a first piece of evidence
//
// and what the gate has at the end is a [seal.Kiosk], what the kiosk has is the
// gate's key set, which it pins.
//
// # What proves what
//
// The answer proves that the sealing key is in the TPM that has the endorsement
// key: the gate encrypted the secret for both at once (credential activation).
// That this endorsement key is a TPM's is proved by its certificate, when one of
// the gate's roots issued it (mode "certified"), or else by two people who
// compare [Request.Fingerprint] on both screens (mode "fingerprint").
//
// Nothing in the files proves the gate: whoever holds the drive could answer
// with keys of his own. So two people also compare [Challenge.Fingerprint] on
// both screens before the kiosk answers. The answer is bound to the key set, so
// that one made for other keys does not finish at the true gate.
//
// # Format
//
// Each document is one line of canonical JSON in the order of its fields, ended
// by a line feed, at most 64 KiB. Bytes are base64, digests lower-case hex,
// times UTC in whole seconds. Fields that may be empty are left out then.
//
//	request    {"format":"sekisho-enrol-request/1","name":…,"software":…,
//	            "endorsement":{"public":…,"certificate":…},"key":…,"counterPublic":…,
//	            "approvals":…,"state":…,"nonce":…,"time":…}
//	challenge  {"format":"sekisho-enrol-challenge/1","request":…,"keys":…,
//	            "credential":{"blob":…,"secret":…},"approvals":[…]}
//	answer     {"format":"sekisho-enrol-answer/1","request":…,"name":…,"mac":…,"proof":{file:…}}
//	pending    {"format":"sekisho-enrol-pending/1","request":…,"keys":…,"time":…,
//	            "approvals":…,"secret":…,"origin":{…}}
//
// The pending document never travels: the gate keeps it until the answer comes,
// for its owner's eyes only. With
//
//	request = SHA-256(the request's bytes)
//	keys    = SHA-256(the key set's bytes)
//
// the answer holds
//
//	mac   = HMAC-SHA-256(secret, "sekisho-enrol-answer-v1" NUL ‖ request ‖ keys)
//	proof = evidence as of a seal, for the digest
//	        SHA-256("sekisho-enrol-proof-v1" NUL ‖ request ‖ keys ‖ mac)
//
// What seals sign begins with "DSSEv1", so no proof is ever a seal.
package enrol
