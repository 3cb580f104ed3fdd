// Where the provider keeps what it has issued: everything in memory, nothing ever pushed out.
//
// The engine's own memory adapter forgets after 1000 entries and belongs to one Provider; this one is
// shared by the Providers that follow one another when keys are rotated.
'use strict';

const GRANTED = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode']);

function memory() {
  const entries = new Map();
  const grants = new Map();
  const sessions = new Map();
  const userCodes = new Map();

  class Adapter {
    constructor(model) {
      this.model = model;
    }

    key(id) {
      return `${this.model}:${id}`;
    }

    async upsert(id, payload) {
      const key = this.key(id);
      entries.set(key, payload);
      if (this.model === 'Session') sessions.set(payload.uid, id);
      if (payload.userCode) userCodes.set(payload.userCode, id);
      if (GRANTED.has(this.model) && payload.grantId) {
        if (!grants.has(payload.grantId)) grants.set(payload.grantId, []);
        grants.get(payload.grantId).push(key);
      }
    }

    async find(id) {
      return entries.get(this.key(id));
    }

    async findByUid(uid) {
      return this.find(sessions.get(uid));
    }

    async findByUserCode(code) {
      return this.find(userCodes.get(code));
    }

    async consume(id) {
      entries.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
    }

    async destroy(id) {
      entries.delete(this.key(id));
    }

    async revokeByGrantId(grantId) {
      for (const key of grants.get(grantId) || []) entries.delete(key);
      grants.delete(grantId);
    }
  }

  // Forgets everything of these models that fits, as when an administrator withdraws it.
  Adapter.forget = (models, fits) => {
    for (const [key, payload] of entries) {
      if (models.includes(key.split(':')[0]) && fits(payload)) entries.delete(key);
    }
  };

  return Adapter;
}

module.exports = memory;
