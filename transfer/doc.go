// Package transfer is the way of the data, each flow readable from top to bottom:
//
//	source.Walk → scan.Blob → engines → manifest → outbox                      prepare.go (kiosk, unattended)
//	outbox → drive → read back → seal                                          write.go   (kiosk, with the carrier)
//	drive → seal.Open → staging → manifest.Parse → parts → scan → vault → receipt   inbound.go (gate)
//	vault → parts → folder                                                     restore.go (gate)
//	requests, challenges, answers, states, approvals ↔ drive                   trust.go   (both)
//	                             ledger notes both ends
//
// A flow takes what it needs as arguments, opened by its caller, and reports by
// callbacks; it knows no screen, no command line and no configuration. What ends
// a flow without success is a Refusal with a Reason of one closed list, or the
// context's error.
package transfer
