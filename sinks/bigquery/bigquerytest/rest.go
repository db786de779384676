package bigquerytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	bq "google.golang.org/api/bigquery/v2"
)

// handler serves the calls for datasets and tables.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	const datasets = "/projects/{project}/datasets"
	mux.HandleFunc("GET "+datasets+"/{dataset}", s.getDataset)
	mux.HandleFunc("POST "+datasets, s.insertDataset)
	mux.HandleFunc("GET "+datasets+"/{dataset}/tables/{table}", s.getTable)
	mux.HandleFunc("POST "+datasets+"/{dataset}/tables", s.insertTable)
	mux.HandleFunc("PATCH "+datasets+"/{dataset}/tables/{table}", s.patchTable)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, r.Method+" "+r.URL.Path)
		mux.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // that the client is gone is its own affair
}

func refuse(w http.ResponseWriter, code int, reason, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"error":{"code":%d,"message":%q,"errors":[{"reason":%q,"message":%q}]}}`, code, text, reason, text)
}

func (s *Server) getDataset(w http.ResponseWriter, r *http.Request) {
	d := s.datasets[r.PathValue("project")+"."+r.PathValue("dataset")]
	if d == nil {
		refuse(w, http.StatusNotFound, "notFound", "Not found: Dataset "+r.PathValue("dataset"))
		return
	}
	answer(w, d)
}

func (s *Server) insertDataset(w http.ResponseWriter, r *http.Request) {
	var d bq.Dataset
	if err := json.NewDecoder(r.Body).Decode(&d); err != nil || d.DatasetReference == nil {
		refuse(w, http.StatusBadRequest, "invalid", "no dataset")
		return
	}
	name := r.PathValue("project") + "." + d.DatasetReference.DatasetId
	if s.datasets[name] != nil {
		refuse(w, http.StatusConflict, "duplicate", "Already Exists: Dataset "+name)
		return
	}
	s.datasets[name] = &d
	answer(w, &d)
}

func pathOf(r *http.Request) string {
	return r.PathValue("project") + "." + r.PathValue("dataset") + "." + r.PathValue("table")
}

func (s *Server) getTable(w http.ResponseWriter, r *http.Request) {
	t := s.tables[pathOf(r)]
	if t == nil {
		refuse(w, http.StatusNotFound, "notFound", "Not found: Table "+pathOf(r))
		return
	}
	answer(w, t.meta)
}

// wrong says what the real one does not allow of a table.
func wrong(t *bq.Table) string {
	if t.View != nil {
		return ""
	}
	if t.Schema == nil || len(t.Schema.Fields) == 0 {
		return "a table without columns"
	}
	byName := map[string]*bq.TableFieldSchema{}
	for _, f := range t.Schema.Fields {
		name := strings.ToLower(f.Name)
		if byName[name] != nil {
			return "duplicate column " + f.Name
		}
		if reads[f.Type] == nil {
			return "unknown type " + f.Type
		}
		byName[name] = f
	}
	if p := t.TimePartitioning; p != nil && (byName[p.Field] == nil || byName[p.Field].Type != "DATE" && byName[p.Field].Type != "TIMESTAMP") {
		return "cannot partition by " + p.Field
	}
	if c := t.Clustering; c != nil {
		if len(c.Fields) > 4 {
			return "more than four columns to cluster by"
		}
		for _, name := range c.Fields {
			if f := byName[name]; f == nil || f.Mode == "REPEATED" || f.Type == "FLOAT" || f.Type == "JSON" {
				return "cannot cluster by " + name
			}
		}
	}
	if t.TableConstraints != nil && t.TableConstraints.PrimaryKey != nil {
		for _, name := range t.TableConstraints.PrimaryKey.Columns {
			if byName[name] == nil {
				return "no column " + name + " for the primary key"
			}
		}
	}
	return ""
}

func (s *Server) insertTable(w http.ResponseWriter, r *http.Request) {
	var t bq.Table
	if err := json.NewDecoder(r.Body).Decode(&t); err != nil || t.TableReference == nil {
		refuse(w, http.StatusBadRequest, "invalid", "no table")
		return
	}
	dataset := r.PathValue("project") + "." + r.PathValue("dataset")
	name := dataset + "." + t.TableReference.TableId
	switch text := wrong(&t); {
	case s.datasets[dataset] == nil:
		refuse(w, http.StatusNotFound, "notFound", "Not found: Dataset "+dataset)
	case s.tables[name] != nil:
		refuse(w, http.StatusConflict, "duplicate", "Already Exists: Table "+name)
	case text != "":
		refuse(w, http.StatusBadRequest, "invalid", text)
	default:
		t.Etag, t.Type = "1", "TABLE"
		if t.View != nil {
			t.Type = "VIEW"
		}
		s.tables[name] = &table{meta: &t, changes: map[string]change{}}
		answer(w, &t)
	}
}

// patchTable changes the columns or the query. Columns may only be added, and not
// as required ones.
func (s *Server) patchTable(w http.ResponseWriter, r *http.Request) {
	t := s.tables[pathOf(r)]
	var to bq.Table
	if err := json.NewDecoder(r.Body).Decode(&to); err != nil {
		refuse(w, http.StatusBadRequest, "invalid", err.Error())
		return
	}
	switch {
	case t == nil:
		refuse(w, http.StatusNotFound, "notFound", "Not found: Table "+pathOf(r))
		return
	case r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != t.meta.Etag:
		refuse(w, http.StatusPreconditionFailed, "conditionNotMet", "Precondition check failed.")
		return
	}
	if to.Schema != nil && t.meta.View == nil {
		before := t.fields()
		for _, f := range to.Schema.Fields {
			name := strings.ToLower(f.Name)
			if old := before[name]; old == nil && f.Mode == "REQUIRED" || old != nil && old.Type != f.Type {
				refuse(w, http.StatusBadRequest, "invalid", "Provided Schema does not match Table: "+f.Name)
				return
			}
			delete(before, name)
		}
		for name := range before {
			refuse(w, http.StatusBadRequest, "invalid", "Provided Schema does not match Table: "+name+" is missing in new schema")
			return
		}
		t.meta.Schema = to.Schema
		t.version++
	}
	if to.View != nil {
		t.meta.View = to.View
	}
	if to.Description != "" {
		t.meta.Description = to.Description
	}
	n, _ := strconv.Atoi(t.meta.Etag)
	t.meta.Etag = strconv.Itoa(n + 1)
	answer(w, t.meta)
}
