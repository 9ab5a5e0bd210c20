package iystest

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Handler answers as the registry does.
func (r *Registry) Handler() http.Handler {
	if r.Sender == 0 {
		r.Sender, r.Brand = 100, 200
	}
	if r.User == "" {
		r.User, r.Password = "user", "secret"
	}
	if r.PageSize == 0 {
		r.PageSize = 100
	}
	if r.TokenLife == 0 {
		r.TokenLife = 2 * time.Hour
	}
	r.tokens, r.batches = map[string]time.Time{}, map[string]*batch{}
	brand := fmt.Sprintf("/sps/%d/brands/%d", r.Sender, r.Brand)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /oauth2/token", r.token)
	mux.HandleFunc("POST "+brand+"/consents", r.known(r.add))
	mux.HandleFunc("POST "+brand+"/consents/request", r.known(r.addMany))
	mux.HandleFunc("GET "+brand+"/consents/request/{id}", r.known(r.results))
	mux.HandleFunc("POST "+brand+"/consents/status", r.known(r.status))
	mux.HandleFunc("GET "+brand+"/consents/changes", r.known(r.changes))
	mux.HandleFunc("GET "+brand+"/changes/{date}/file", r.known(r.file))
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		r.calls = append(r.calls, q.Method+" "+q.URL.Path)
		r.mu.Unlock()
		if r.Fail != nil {
			if status, after := r.Fail(q.Method, q.URL.Path); status != 0 {
				if after != "" {
					w.Header().Set("Retry-After", after)
				}
				w.WriteHeader(status)
				return
			}
		}
		mux.ServeHTTP(w, q)
	})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, list ...Error) {
	answer(w, http.StatusUnprocessableEntity, map[string]any{"errors": list})
}

func (r *Registry) token(w http.ResponseWriter, q *http.Request) {
	var ask struct {
		Username  string `json:"username"`
		Password  string `json:"password"`
		GrantType string `json:"grant_type"`
	}
	if json.NewDecoder(io.LimitReader(q.Body, 1<<16)).Decode(&ask) != nil || ask.GrantType != "password" || ask.Username != r.User || ask.Password != r.Password {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_grant"})
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	token := fmt.Sprintf("token-%d", r.count)
	r.tokens[token] = r.now().Add(r.TokenLife)
	answer(w, http.StatusOK, map[string]any{
		"access_token": token, "refresh_token": "r" + token, "expires_in": int(r.TokenLife.Seconds()), "refresh_expires_in": 14400, "token_type": "bearer",
	})
}

// Forget makes all tokens useless, as a restart of the registry does.
func (r *Registry) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.tokens)
}

func (r *Registry) known(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		token, _ := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
		r.mu.Lock()
		until, ok := r.tokens[token]
		r.mu.Unlock()
		if !ok || r.now().After(until) {
			answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
			return
		}
		next(w, q)
	}
}

func (r *Registry) add(w http.ResponseWriter, q *http.Request) {
	var c Record
	if json.NewDecoder(io.LimitReader(q.Body, 1<<16)).Decode(&c) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if list := r.judge(c); len(list) > 0 {
		refuse(w, list...)
		return
	}
	stored := r.store(c, false)
	answer(w, http.StatusOK, map[string]string{"transactionId": stored.TransactionID, "creationDate": stored.CreationDate})
}

func (r *Registry) addMany(w http.ResponseWriter, q *http.Request) {
	var list []Record
	if json.NewDecoder(io.LimitReader(q.Body, 1<<24)).Decode(&list) != nil || len(list) == 0 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	id := fmt.Sprintf("00000000-0000-4000-8000-%012x", r.count)
	b := &batch{}
	subs := []map[string]any{}
	for i, c := range list {
		one := result{Index: i + 1, SubrequestID: fmt.Sprintf("%s-%d", id, i+1)}
		if errors := r.judge(c); len(errors) > 0 {
			one.Status, one.Error = "failure", &errors[0]
		} else {
			stored := r.store(c, false)
			one.Status, one.TransactionID, one.CreationDate = "success", stored.TransactionID, stored.CreationDate
		}
		b.results = append(b.results, one)
		subs = append(subs, map[string]any{"subrequestId": one.SubrequestID, "recipient": c.Recipient, "type": c.Type})
	}
	r.batches[id] = b
	answer(w, http.StatusOK, map[string]any{"requestId": id, "subRequests": subs})
}

func (r *Registry) results(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.batches[q.PathValue("id")]
	if b == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	b.asked++
	list := slices.Clone(b.results)
	if b.asked <= r.Slow {
		for i := range list {
			list[i] = result{Index: list[i].Index, Status: "enqueue", SubrequestID: list[i].SubrequestID}
		}
	}
	answer(w, http.StatusOK, list)
}

func (r *Registry) status(w http.ResponseWriter, q *http.Request) {
	var c Record
	if json.NewDecoder(io.LimitReader(q.Body, 1<<16)).Decode(&c) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	held, ok := r.Held(c.Recipient, c.RecipientType, c.Type)
	if !ok {
		answer(w, http.StatusNotFound, map[string]any{"errors": []Error{{Code: NoCode, Message: "not held"}}})
		return
	}
	answer(w, http.StatusOK, held)
}

// changes are those of the last seven days without the last hour, in the order of their
// creation.
func (r *Registry) changes(w http.ResponseWriter, q *http.Request) {
	source := q.URL.Query().Get("source")
	if source != "HS" && source != "IYS" {
		refuse(w, Error{Code: NoCode, Location: []string{"source"}, Message: "source is HS or IYS"})
		return
	}
	after, begin := q.URL.Query().Get("after"), 0
	if after != "" {
		_, number, ok := strings.Cut(after, "_")
		n, err := strconv.Atoi(number)
		if !ok || err != nil {
			refuse(w, Error{Code: NoCode, Location: []string{"after"}, Message: "no place in the list"})
			return
		}
		begin = n
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	list := []Record{}
	for i := begin; i < len(r.movements) && len(list) < r.PageSize; i++ {
		m := r.movements[i]
		if m.at.After(now.Add(-time.Hour)) {
			break // not yet, and those behind it neither
		}
		begin = i + 1
		if m.at.Before(now.AddDate(0, 0, -7)) || m.recipient != (source == "IYS") {
			continue
		}
		list = append(list, m.Record)
	}
	if begin > 0 {
		after = fmt.Sprintf("%d_%d", now.UnixMilli(), begin)
	}
	answer(w, http.StatusOK, map[string]any{"after": after, "list": list})
}

func (r *Registry) file(w http.ResponseWriter, q *http.Request) {
	text := q.PathValue("date")
	day, err := time.ParseInLocation(time.DateOnly, text, turkey)
	now := r.now()
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, turkey)
	if err != nil || !day.Before(today) || day.Before(today.AddDate(0, 0, -7)) {
		refuse(w, Error{Code: "H501", Location: []string{"reportDate"}, Value: text, Message: "Tarih"})
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w.Header().Set("Content-Type", "text/csv")
	out := csv.NewWriter(w)
	_ = out.Write([]string{"creationDate", "transactionId", "recipient", "recipientType", "type", "status", "consentDate", "source"})
	for _, m := range r.movements {
		if strings.HasPrefix(m.CreationDate, text) {
			_ = out.Write([]string{m.CreationDate, m.TransactionID, m.Recipient, m.RecipientType, m.Type, m.Status, m.ConsentDate, m.Source})
		}
	}
	out.Flush()
}
