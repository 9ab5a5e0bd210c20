package webhook_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/mahrem/mahrem/dsar/outbox/webhook"
)

// The program that reaches people takes a call: it remembers the id, sends the letter on,
// and forgets it.
func ExampleOpen() {
	secret, err := webhook.ParseSecret(knownSecret)
	if err != nil {
		panic(err)
	}
	header := http.Header{}
	header.Set("Webhook-Id", "abababab-abab-4bab-abab-abababababab")
	header.Set("Webhook-Timestamp", "1772366400")
	header.Set("Webhook-Signature", knownSignature)
	call, err := webhook.Open(secret, header, []byte(knownBody), time.Unix(1772366460, 0))
	if err != nil {
		panic(err)
	}
	fmt.Println(call.ID, call.Type, call.Letter.To.Kind, call.Letter.To.Value, call.Letter.Language)
	// Output: abababab-abab-4bab-abab-abababababab dsar.code email REDACTED tr
}
