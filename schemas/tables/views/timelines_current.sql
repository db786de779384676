-- Requests, each at its last revision; open ones for as long as a request may be.
SELECT *
FROM {{from "timelines"}}
WHERE {{recent "date"}}
QUALIFY ROW_NUMBER() OVER (PARTITION BY timeline_id ORDER BY revision DESC, update DESC) = 1
  AND superseded_by IS NULL
  AND (state IS NULL OR state <> 'open' OR {{open "start_time"}})
