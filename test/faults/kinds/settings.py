"""Settings of reco, there and back by reload."""
from fault import Fault


class Settings(Fault):
    """Draws settings; heal() puts them back."""
    values = {}

    def inject(self):
        self.drawn = {f'reco__{name}': self.pick.choice(choice) for name, choice in self.values.items()}
        self.note = ', '.join(f'{name[6:]} = {value}' for name, value in self.drawn.items())
        self.world.set(**self.drawn)

    def heal(self):
        self.world.set(**dict.fromkeys(self.drawn))


class Windows(Settings):
    """The window settings are changed, and changed back; each time the state is computed again"""
    kind = 'settings-windows'
    bound = 20
    # none may put the horizon later: what it drops does not come back
    values = {'trending_window': [5, 10], 'recent_window': [10, 20, 25], 'retention': [60, 80]}


class Sizes(Settings):
    """The settings for the sizes of lists and tops and for the number of views are changed"""
    kind = 'settings-sizes'
    bound = 20
    values = {'max_recommendations': [0, 1, 5, 20], 'trending_size': [1, 3, 10], 'top_categories': [1, 2, 3],
              'max_user_views': [2, 20, 500]}


class Disabled(Settings):
    """reco.enabled is turned off, and on again"""
    kind = 'settings-enabled'
    bound = 20
    hold = (1, 4)
    last = True
    values = {'enabled': ['off']}


class OtherRedis(Settings):
    """reco.redis_url is set to another database of Redis, or to a port where nothing listens"""
    kind = 'settings-redis'
    bound = 20
    values = {'redis_url': ['redis://127.0.0.1:{port}/1', 'redis://127.0.0.1:1/0', '']}

    def inject(self):
        self.values = {'redis_url': [url.format(port=self.world.store.port) for url in self.values['redis_url']]}
        super().inject()


class OtherTopic(Settings):
    """reco.kafka_topic is set to a topic that does not exist, and set back"""
    kind = 'settings-topic'
    bound = 20
    values = {'kafka_topic': ['another_topic']}
