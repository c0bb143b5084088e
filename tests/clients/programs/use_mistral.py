import os

from mistralai.client import Mistral

client = Mistral(api_key=os.environ["MISTRAL_API_KEY"], server_url=os.environ["MISTRAL_BASE_URL"])
messages = [{"role": "user", "content": "hi"}]
print(client.chat.complete(model="mistral-small-latest", messages=messages).choices[0].message.content)
with client.chat.stream(model="mistral-small-latest", messages=messages) as stream:
    print("".join(event.data.choices[0].delta.content or "" for event in stream))
print(len(client.embeddings.create(model="mistral-embed", inputs=["hi"]).data))
