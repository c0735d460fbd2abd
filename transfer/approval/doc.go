// Package approval says which states a kiosk may seal in, by IT's word.
//
// A [State] is what a kiosk's registers hold, as a seal or the kiosk itself said:
// a claim, signed by nobody. An [Approval] is IT's signed word that one kiosk may
// seal while some of its registers have the values of such a state, for a bounded
// time. [Judge] compares the two. The package talks to no TPM and knows nothing of
// backups; that registers have these values is for package seal to prove.
//
// # What an approval does
//
// It does two things, by one signature each. The gate compares the registers that
// it covers with those that a seal quoted, until it expires or is revoked. A
// kiosk's TPM whose key is bound to approved states takes the signature inside,
// over registers 7 and the software register alone, and seals; that one has
// neither expiry nor revocation, as a TPM knows no such thing. So where an
// approval ended the TPM may go on to seal, and the gate does not accept.
//
// # Format
//
// A state is one line of canonical JSON, an approval the same as the payload of a
// DSSE envelope of type application/vnd.sekisho.approval+json by IT's approvals
// key:
//
//	{"format":"sekisho-state/1","kiosk":"k3","softwareRegister":13,
//	 "registers":{"0":"…",…,"13":"…"},"events":[{"name":"/usr/bin/kiosk","sha256":"…"},…],
//	 "firmware":"72339069014638592","softwareTPM":false,"time":"2026-11-22T12:00:00Z"} LF
//
//	{"format":"sekisho-approval/1","kiosk":"k3","softwareRegister":13,
//	 "registers":{"7":"…","13":"…"},"events":[…],"authorization":"…",
//	 "from":"2026-11-22T12:00:00Z","until":"2027-11-22T12:00:00Z","by":"1234","reason":"…"} LF
//
// Registers are of the SHA-256 bank, in ascending order, in hex. Events are what
// the software register was extended with (package measure), or none: then its
// value alone counts. The firmware is the TPM's own, a decimal number. An
// authorization is the DER signature that TPM2_PolicyAuthorize wants, in base64.
//
// A state's ID is 100 bits in five groups of base32, which two people compare: a
// state that came as a file is approved only by whoever read its ID on the kiosk's
// own screen.
//
// A folder of approvals ([Store]) on disk, one for each approvals key:
//
//	<id>.approval.json             the envelope
//	revoked/<id>.revoked.json      who revoked it, when and why
//	revoked/<id>.approval.json     its envelope, moved
//
// And of states that wait for IT ([Pending]):
//
//	<id>.sealed.json               a seal proved it
//	<id>.claimed.json              a request for enrolment claims it
//
// One process at a time writes it; the caller holds the lock of the state folder.
package approval
