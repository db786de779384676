-- What became of alerts, by rule.
SELECT
  rule_id,
  severity,
  COUNT(*) AS raised,
  SUM(CASE WHEN state = 'withdrawn' THEN 1 ELSE 0 END) AS withdrawn,
  SUM(CASE WHEN state = 'open' THEN 1 ELSE 0 END) AS standing,
  SUM(CASE WHEN state = 'open' AND exact THEN 1 ELSE 0 END) AS standing_exact,
  COUNT(DISTINCT timeline_id) AS requests,
  MIN(event_time) AS first_seen,
  MAX(event_time) AS last_seen
FROM {{from "alerts_current"}}
GROUP BY 1, 2
ORDER BY 3 DESC, 1, 2
