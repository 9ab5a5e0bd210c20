// Package clock says by when a request of a data subject must be answered, and why.
//
// Laws do not count in days alone: a month is a calendar month (Regulation (EEC, Euratom)
// No 1182/71), a period that ends on a holiday ends later, proof of identity starts the
// clock in one country, may suspend it in another and never touches it in a third. So the
// law is data with dates and sources (data/rules, data/calendars), and [Compute] applies
// what was in force when the request came, and writes down each step.
//
// Two principles hold wherever the law leaves a doubt. The earlier day is taken: an answer
// that comes early harms nobody. And nothing is guessed: a day outside the years of a
// calendar, or before a rule was in force, is a [Refusal] and not an approximation.
//
// None of this is legal advice.
package clock
