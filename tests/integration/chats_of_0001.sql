CREATE TABLE usechat_version (
version_num VARCHAR(32) NOT NULL, 
CONSTRAINT usechat_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO usechat_version VALUES('0001');
CREATE TABLE usechat_chats (
id TEXT NOT NULL, 
owner TEXT NOT NULL, 
title TEXT, 
folded_title TEXT NOT NULL, 
created_at DOUBLE NOT NULL, 
updated_at DOUBLE NOT NULL, 
metadata TEXT NOT NULL, 
active_run_id TEXT, 
revision BIGINT NOT NULL, 
PRIMARY KEY (id)
);
INSERT INTO usechat_chats VALUES('tides','ada','Where do tides come from?','where do tides come from?',1795879545.537466526,1795879545.5594403743,'{"color":"blue"}',NULL,4);
INSERT INTO usechat_chats VALUES('mail','ada','Send it','send it',1795879545.5609762668,1795879545.5613956451,'{}','r4',3);
INSERT INTO usechat_chats VALUES('open','ada','Still there?','still there?',1795879545.5661206245,1795879545.5661206245,'{}','r5',1);
INSERT INTO usechat_chats VALUES('empty','ada','Nothing yet','nothing yet',1795879545.5662789344,1795879545.5662789344,'{}',NULL,0);
CREATE TABLE usechat_messages (
chat_id TEXT NOT NULL, 
position INTEGER NOT NULL, 
id TEXT NOT NULL, 
role TEXT NOT NULL, 
content TEXT NOT NULL, 
folded_text TEXT NOT NULL, 
created_at DOUBLE NOT NULL, 
status TEXT NOT NULL, 
usage TEXT, 
finish_reason TEXT, 
run_id TEXT, 
PRIMARY KEY (chat_id, position), 
FOREIGN KEY(chat_id) REFERENCES usechat_chats (id) ON DELETE CASCADE
);
INSERT INTO usechat_messages VALUES('tides',0,'u1','user','{"id":"u1","role":"user","parts":[{"type":"text","text":"Where do tides come from?"}]}','where do tides come from?',1795879545.537466526,'whole',NULL,NULL,NULL);
INSERT INTO usechat_messages VALUES('tides',1,'a1','assistant','{"id":"a1","role":"assistant","parts":[{"type":"text","text":"From the Moon.","state":"done"}]}','from the moon.',1795879545.5520777701,'whole','{"inputTokens":{"total":9}}','stop','r1');
INSERT INTO usechat_messages VALUES('tides',2,'u2','user','{"id":"u2","role":"user","parts":[{"type":"text","text":"And at noon?"}]}','and at noon?',1795879545.5585148334,'whole',NULL,NULL,NULL);
INSERT INTO usechat_messages VALUES('tides',3,'a2','assistant','{"id":"a2","role":"assistant","parts":[{"type":"text","text":"Then, too.","state":"done"}]}','then, too.',1795879545.5594403743,'whole','{"inputTokens":{"total":9}}','stop','r2');
INSERT INTO usechat_messages VALUES('mail',0,'u3','user','{"id":"u3","role":"user","parts":[{"type":"text","text":"Send it"}]}','send it',1795879545.5609762668,'whole',NULL,NULL,NULL);
INSERT INTO usechat_messages VALUES('mail',1,'a3','assistant','{"id":"a3","role":"assistant","parts":[{"type":"text","text":"Shall I?","state":"done"},{"type":"tool-send","toolCallId":"c1","state":"approval-responded","input":{"to":"ada"},"approval":{"id":"p1","approved":true}}]}','shall i?',1795879545.5611414908,'streaming','{"inputTokens":{"total":9}}','stop','r3');
INSERT INTO usechat_messages VALUES('open',0,'u5','user','{"id":"u5","role":"user","parts":[{"type":"text","text":"Still there?"}]}','still there?',1795879545.5661206245,'whole',NULL,NULL,NULL);
CREATE TABLE usechat_turns (
run_id TEXT NOT NULL, 
chat_id TEXT NOT NULL, 
owner TEXT NOT NULL, 
continues TEXT, 
began_at DOUBLE NOT NULL, 
ended_at DOUBLE, 
status TEXT, 
ended_by TEXT, 
PRIMARY KEY (run_id)
);
INSERT INTO usechat_turns VALUES('r1','tides','ada',NULL,1795879545.537466526,1795879545.5520777701,'whole','2cf2496da1614712b112e25f7df36208');
INSERT INTO usechat_turns VALUES('r2','tides','ada',NULL,1795879545.5585148334,1795879545.5594403743,'whole','62f8834cd7cd47c2b92d1dbb715e1695');
INSERT INTO usechat_turns VALUES('r3','mail','ada',NULL,1795879545.5609762668,1795879545.5611414908,'whole','77d61809ce0b4665b936f8fe40ebd142');
INSERT INTO usechat_turns VALUES('r4','mail','ada','a3',1795879545.5613956451,NULL,NULL,NULL);
INSERT INTO usechat_turns VALUES('r5','open','ada',NULL,1795879545.5661206245,NULL,NULL,NULL);
CREATE INDEX ix_usechat_chats_owner_updated_at_id ON usechat_chats (owner, updated_at, id);
CREATE INDEX ix_usechat_turns_chat_id ON usechat_turns (chat_id);
CREATE INDEX ix_usechat_turns_status_began_at ON usechat_turns (status, began_at);
